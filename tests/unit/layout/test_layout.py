"""The shape of the tree: one namespace in three roots, current stubs, registries' hosts nowhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMESPACES = ("inference", "feedback", "admin", "events")


@pytest.mark.parametrize("root", ["protos", "services", "pipeline"])
def test_namespace_root_has_no_init(root: str) -> None:
    assert not (ROOT / root / "thumbwheel" / "__init__.py").exists()


@pytest.mark.parametrize("name", NAMESPACES)
def test_packages_shared_with_contracts_have_no_init(name: str) -> None:
    found = [
        path
        for root in ("protos", "services", "pipeline")
        for path in (ROOT / root).glob(f"thumbwheel/{name}/__init__.py")
    ]
    assert not found


def test_every_other_package_says_what_lives_there() -> None:
    packages = {path.parent for root in ("services", "pipeline") for path in (ROOT / root).glob("thumbwheel/*/*.py")}
    silent = [
        str(package.relative_to(ROOT))
        for package in packages
        if package.name not in NAMESPACES and not (package / "__init__.py").read_text().startswith('"""')
    ]
    assert not silent


def test_stubs_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "protos" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_pins_have_hashes_and_name_no_host() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text, path
        pins = re.findall(r"^\S+==[^\\]*\\$", text, re.MULTILINE)
        assert pins and text.count("--hash=sha256:") >= len(pins), path


def test_pins_cover_what_the_package_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9._-]", spec)[0].lower() for spec in project["dependencies"]}
    pinned = set(
        re.findall(
            r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE
        )
    )
    assert names <= pinned
