"""`judge`: what it shows and how it ends; what the gates say is tested where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from thumbwheel.app import storage
from thumbwheel.cli.main import group
from thumbwheel.errors import UnknownPolicy
from thumbwheel.records import GateResult, Verdict
from thumbwheel.retrain import dry_run
from thumbwheel.retrain.dry_run import DryRun

GATE = GateResult("latency", False, 2.0, 1.5, 1.9, 2.1, "Too slow.")


@contextmanager
def nothing_opened(_: object) -> Iterator[tuple[None, None]]:
    yield None, None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a store that is not looked into."""
    (tmp_path / "store.sqlite").touch()
    monkeypatch.setattr(storage, "open_learned", nothing_opened)
    return tmp_path


@pytest.mark.parametrize(("promote", "status"), [(True, 0), (False, 1)])
def test_the_gates_are_shown_and_the_status_says_whether_it_would_be_promoted(
    promote: bool, status: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(*given: Any) -> DryRun:
        *_, version, told = given
        told("fit", 0.5)
        return DryRun("desk", version, "v2", 1_234, Verdict(promote, (GATE,), "So it is."))

    monkeypatch.setattr(dry_run, "judge_version", judged)
    shown = CliRunner().invoke(group, ["--home", str(home), "judge", "desk", "v3"])
    assert shown.exit_code == status
    first, *_, last = shown.stdout.splitlines()
    assert (first, last) == ("desk: v3 against the champion v2, 1,234 votes", "So it is.")
    assert "Too slow." in shown.stdout
    assert "desk: fit" in shown.stderr and "desk: fit" not in shown.stdout
    found = json.loads(CliRunner().invoke(group, ["--home", str(home), "judge", "desk", "v3", "--json"]).stdout)
    assert (found["champion"], found["votes"], found["verdict"]["promote"]) == ("v2", 1_234, promote)
    assert found["verdict"]["gates"][0]["name"] == "latency"


def test_in_a_fresh_home_it_makes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(UnknownPolicy, match=r"no 'desk'; there are none yet: make one with `thumbwheel policy init`"):
        CliRunner().invoke(group, ["--home", str(home), "judge", "desk", "v3"], catch_exceptions=False)
    assert not home.exists()
