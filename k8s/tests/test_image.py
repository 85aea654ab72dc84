"""What the Dockerfile does, done here: in an environment of the same pins, and nothing else, every part starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
PARTS = ("serve", "ingest", "web", "retrain", "database upgrade", "topics create")
IMPORTED = "import ray.serve, ray.train, s3fs, torch, thumbwheel.app.processes.serve, thumbwheel.app.processes.retrain"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(*words: object, **environment: str) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=ROOT, env=environment or None)
    assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environment's programs."""
    folder = tmp_path_factory.mktemp("image")
    here, wheels = folder / "thumbwheel", folder / "dist"
    run(UV, "venv", "--quiet", "--python", sys.executable, here)
    run(UV, "pip", "sync", "--quiet", "--python", here, "--require-hashes", ROOT / "requirements" / "image.txt")
    constraints = ["--build-constraints", ROOT / "requirements" / "dev.txt", "--require-hashes"]
    run(UV, "build", "--quiet", "--wheel", *constraints, "--out-dir", wheels)
    run(UV, "pip", "install", "--quiet", "--no-deps", "--python", here, *wheels.glob("*.whl"))
    return here / "bin"


def test_nothing_is_missing_and_no_tool_is_there(installed: Path) -> None:
    run(UV, "pip", "check", "--python", installed / "python")
    assert not any((installed / tool).exists() for tool in ("pip", "uv", "ruff", "pytest", "mypy"))


def test_every_part_starts(installed: Path, tmp_path: Path) -> None:
    clean = {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path), "THUMBWHEEL_HOME": str(tmp_path / "home")}
    assert "0.1.0" in run(installed / "thumbwheel", "--version", **clean)
    for part in PARTS:
        assert "Usage: thumbwheel" in run(installed / "thumbwheel", *part.split(), "--help", **clean)
    run(installed / "python", "-c", IMPORTED, **clean)
