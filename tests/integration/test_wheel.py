"""The wheel holds everything that the tree has, under the one name it claims, and its command starts."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from installed_wheel import ROOT, build_wheel, install_wheel

ROOTS = ("protos", "services", "pipeline")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_three_roots(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *(f"{root}/thumbwheel" for root in ROOTS)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    in_tree = {name.partition("/")[2] for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert in_wheel == in_tree


def test_the_wheel_claims_one_name_and_one_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
        [entry_points] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert tops == {"thumbwheel"}
        assert "thumbwheel = thumbwheel.cli.main:main" in archive.read(entry_points).decode()


def test_the_installed_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    python, empty = install_wheel(wheel, tmp_path / "environment"), tmp_path / "empty"
    empty.mkdir()

    def said(*arguments: str) -> str:
        return subprocess.run([python, *arguments], cwd=empty, capture_output=True, text=True, check=True).stdout

    [found] = said("-c", "import thumbwheel; print(*thumbwheel.__path__)").split()
    assert found.startswith(str(tmp_path / "environment"))
    assert '"check": "torch"' in said("-m", "thumbwheel.cli", "--home", "home", "doctor", "--json")


def test_a_type_checker_sees_the_types_of_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    python, user = install_wheel(wheel, tmp_path / "environment"), tmp_path / "user.py"
    seen = {
        "Client('127.0.0.1:1').classify('hi').label": "str",
        "Message('user', 'hi').content": "str",
        "NotFound('x').args": "tuple[Any, ...]",
        "pb.Stamp().feedback_token": "str",
        "Settings().serve.port": "int",
    }
    user.write_text(
        "from thumbwheel.client import Client\n"
        "from thumbwheel.config.settings import Settings\n"
        "from thumbwheel.errors import NotFound\n"
        "from thumbwheel.inference.v1 import inference_pb2 as pb\n"
        "from thumbwheel.records import Message\n" + "".join(f"reveal_type({one})\n" for one in seen)
    )
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path}/cache", f"--python-executable={python}"]
    command = [sys.executable, "-m", "mypy", *options, str(user)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = [
        line.partition("Revealed type is ")[2].strip('"') for line in done.stdout.splitlines() if "Revealed" in line
    ]
    assert told == list(seen.values()), done.stdout
    assert done.returncode == 0, done.stdout
