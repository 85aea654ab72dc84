"""What the command line keeps of a user who is erased."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thumbwheel.cli import erase
from thumbwheel.cli.answers import LastAnswer, remember
from thumbwheel.cli.main import main
from thumbwheel.client import AdminClient
from thumbwheel.records import ErasureReport

KEPT = LastAnswer("r1", "token", "ann", "topics", "v1", "words for ann")


@pytest.fixture
def erased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Erase a user at a service that always can."""
    doors = ["--home", str(tmp_path), "--admin-address", "127.0.0.1:1"]
    monkeypatch.setattr(AdminClient, "erase_user", lambda *_, **__: ErasureReport(1, 1, ()))

    def order(user: str, *form: str) -> None:
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *doors, "erase", user, "--reason", "by mail", "--yes", *form])
        main()

    return order


def test_the_answer_kept_for_voting_goes_with_its_user_only(erased: Callable[[str], None], tmp_path: Path) -> None:
    remember(tmp_path, KEPT)
    erased("bob")
    assert "words for ann" in (tmp_path / "last_answer.json").read_text()
    erased("ann")
    assert list(tmp_path.iterdir()) == []
    erased("ann")


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize(
    ("report", "told"),
    [
        (ErasureReport(0, 0, ()), "nothing of such a user is here: check the id\n"),
        (ErasureReport(1, 0, ()), ""),
        (ErasureReport(0, 1, ()), ""),
        (ErasureReport(0, 0, ("topics v2",)), ""),  # erased before, and known by what was learned
    ],
)
def test_a_user_of_whom_nothing_is_here_is_told_from_one_who_is_erased(
    report: ErasureReport,
    told: str,
    form: list[str],
    erased: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(AdminClient, "erase_user", lambda *_, **__: report)
    erased("nobody", *form)
    said = capsys.readouterr()
    assert said.err == told
    if form:
        versions = list(report.versions_trained_on_it)
        counts = {"responses": report.responses, "feedback": report.feedback, "versions": versions}
        assert json.loads(said.out) == {**counts, "runs_ended": []}
    else:
        assert said.out.startswith("erased: ")


def test_an_answer_that_can_not_be_removed_is_told(
    erased: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(home: Path) -> None:
        raise OSError(30, "Read-only file system")

    remember(tmp_path, KEPT)
    monkeypatch.setattr(erase, "forget", refuse)
    erased("ann")
    said = capsys.readouterr()
    assert said.out.startswith("erased: 1 answer, 1 vote\n")
    assert f"still in {tmp_path} (Read-only file system)" in said.err


def test_a_run_that_ends_with_it_is_named(
    erased: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(AdminClient, "erase_user", lambda *_, **__: ErasureReport(1, 1, (), ("topics-1",)))
    erased("ann")
    said = "run topics-1 was learning from them and ends as failed; start another: thumbwheel retrain POLICY"
    assert capsys.readouterr().out.splitlines()[-1] == said
    erased("ann", "--json")
    assert json.loads(capsys.readouterr().out)["runs_ended"] == ["topics-1"]


@pytest.mark.parametrize(("versions", "told"), [(("topics/v2",), True), ((), False)])
def test_what_to_do_about_versions_that_learned_from_the_user_is_told(
    versions: tuple[str, ...],
    told: bool,
    erased: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(AdminClient, "erase_user", lambda *_, **__: ErasureReport(1, 1, versions))
    erased("ann")
    said = capsys.readouterr().out
    for command in ("thumbwheel promote POLICY VERSION", "thumbwheel retrain POLICY"):
        assert (command in said) is told
