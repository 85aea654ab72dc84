"""The wheel holds everything that the tree has, under the one name it claims, and its command starts."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ("protos", "services", "pipeline")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


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


def test_the_unpacked_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # the checkout that this environment has on its path must not help: it is taken off before anything is imported
    code = (
        "import sys\n"
        f"sys.path[:] = [{str(site)!r}] + [p for p in sys.path if not p.startswith({str(ROOT / 'p')!r}) "
        f"and not p.startswith({str(ROOT / 'services')!r})]\n"
        "sys.argv = ['thumbwheel', '--home', 'home', 'doctor', '--json']\n"
        "from thumbwheel.cli.main import main\n"
        "import thumbwheel\n"
        f"assert list(thumbwheel.__path__) == [{str(site / 'thumbwheel')!r}], thumbwheel.__path__\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=empty, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"check": "torch"' in done.stdout
