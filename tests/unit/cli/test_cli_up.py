"""`up`: what can be known at once is said at once, before torch is imported, which takes seconds."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from thumbwheel.app.home import Home

UP = """
import sys
from thumbwheel.cli.main import main
try:
    main()
finally:
    print("torch" in sys.modules)
"""


def up(home: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    options = ["--home", str(home), "--set", f"serve.port={port}"]
    options += ["--set", "serve.admin_port=0", "--set", "serve.web_port=0"]
    command = [sys.executable, "-c", UP, *options, "up"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = up(tmp_path / "home", port)
    assert (ended.returncode, ended.stdout) == (2, "False\n")
    assert f"serve.port: 127.0.0.1:{port} is in use" in ended.stderr and "starting" not in ended.stderr
    assert not (tmp_path / "home").exists()


def test_a_home_in_use(tmp_path: Path) -> None:
    with Home(tmp_path):
        ended = up(tmp_path)
    assert (ended.returncode, ended.stdout) == (4, "False\n")
    assert f"home: {tmp_path} is in use by another process" in ended.stderr


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none(tmp_path: Path, port: int) -> None:
    ended = up(tmp_path, port)
    assert (ended.returncode, ended.stdout) == (2, "False\n")


def test_it_says_that_it_starts_before_what_takes_seconds(tmp_path: Path) -> None:
    (tmp_path / "thumbwheel.toml").touch()
    code = UP.replace("import sys\n", "import sys\nsys.modules['torch'] = None\n", 1)  # its import fails
    command = [sys.executable, "-c", code, "--home", str(tmp_path)]
    command += [word for door in ("port", "admin_port", "web_port") for word in ("--set", f"serve.{door}=0")]
    ended = subprocess.run([*command, "up"], capture_output=True, text=True, check=False, timeout=120)
    assert ended.stderr.startswith("starting\n") and "torch" in ended.stderr
