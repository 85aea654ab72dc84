"""How the demonstration ends: what it leaves behind, and what its status means. The loop itself is run end to end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thumbwheel.cli import demo
from thumbwheel.cli.main import main
from thumbwheel.records import Run, RunState, RunStep
from thumbwheel.simulate.crowd import Tally
from thumbwheel.simulate.demo import INTENT, DemoOutcome, PolicyOutcome

End = Callable[..., int]
TRAINED: Future[None] = Future()
TRAINED.set_result(None)


def outcome_of(policy: str, state: RunState, ups_after: int) -> PolicyOutcome:
    report = "/runs/r1/report.html"
    run = Run("r1", policy, state, RunStep.PUBLISH, "v1", 1, candidate_version="v2", report_path=report)
    before, after = Tally(100, 50, 50, 50.0), Tally(100, ups_after, 100 - ups_after, float(ups_after))
    return PolicyOutcome(policy, "v1", "v2", before, after, run, 0.5)


BETTER = outcome_of("helpdesk-intent", RunState.PROMOTED, 90)
REFUSED = outcome_of("helpdesk-reply", RunState.REJECTED, 50)


class Service:
    """Stands for the process, which is not the point here."""

    addresses = {"grpc": "127.0.0.1:1", "admin": "127.0.0.1:2", "web": "http://127.0.0.1:3"}

    def __init__(self, home: Path, settings: dict[str, Any]) -> None:
        (home / "store.sqlite").touch()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> End:
    """Run `demo --exit` to an outcome, or to what is raised instead; return the exit status."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("thumbwheel.simulate.demo.write_first_data", lambda plan, folder: {})
    monkeypatch.setattr("thumbwheel.simulate.service.ServiceProcess", Service)
    monkeypatch.setattr(demo, "first_policies", lambda home, policies, bars: nullcontext({INTENT: TRAINED}))

    def run(outcome: DemoOutcome | BaseException, *arguments: str) -> int:
        async def run_loop(*_: object) -> DemoOutcome:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr("thumbwheel.simulate.demo.run_loop", run_loop)
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *arguments, "demo", "--exit"])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


def test_the_home_that_stays_is_named_with_what_can_be_done_with_it(
    ends: End, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(DemoOutcome((BETTER,), 10, (), 10, 10, 0)) == 0
    [home] = tmp_path.iterdir()
    said = capsys.readouterr().out.splitlines()
    assert said[-3] == f"All of it is kept in {home}"
    assert said[-2].startswith("  go on with it  ") and said[-2].endswith(f"thumbwheel --home {home} up")
    assert said[-1] == f"  remove it      rm -r {home}"


def test_the_home_is_named_too_when_it_is_stopped_halfway(
    ends: End, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(KeyboardInterrupt()) == 130
    [home] = tmp_path.iterdir()
    assert f"rm -r {home}" in capsys.readouterr().out


def test_nobody_is_told_to_remove_a_home_of_their_own(
    ends: End, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(DemoOutcome((BETTER,), 10, (), 10, 10, 0), "--home", str(tmp_path / "mine")) == 0
    said = capsys.readouterr().out
    assert f"All of it is kept in {tmp_path}/mine" in said
    assert "rm -r" not in said


def test_votes_that_others_gave_meanwhile_are_told_and_no_fault(ends: End, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(DemoOutcome((BETTER,), 10, (), 10, 14, 0)) == 0
    said = capsys.readouterr()
    assert "4 votes in the store came from elsewhere, such as the page" in said.out and said.err == ""


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (
            DemoOutcome((BETTER, REFUSED), 10, (), 10, 10, 0),
            "helpdesk-reply did not get better; see /runs/r1/report.html",
        ),
        (DemoOutcome((BETTER,), 10, ("Unavailable: x",) * 2, 10, 10, 0), "2 of the requests and votes were dropped"),
        (DemoOutcome((BETTER,), 10, (), 1_010, 10, 0), "1,010 votes were acknowledged, but 10 are in the store"),
        (DemoOutcome((BETTER,), 10, (), 10, 10, 1), "1 dead letter in the store"),
    ],
)
def test_a_status_of_1_is_explained_by_the_last_line(
    outcome: DemoOutcome, fault: str, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(outcome) == 1
    assert capsys.readouterr().err == f"{fault}\n"


def test_what_was_refused_before_is_told_and_no_fault(ends: End, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = replace(REFUSED.run, policy=BETTER.policy, summary="Not promoted: too close to call.")
    assert ends(DemoOutcome((replace(BETTER, refused=(earlier,)),), 10, (), 10, 10, 0)) == 0
    said = "helpdesk-intent was refused before: Not promoted: too close to call. report: /runs/r1/report.html"
    assert said in capsys.readouterr().out


def test_the_row_after_a_refusal_says_so_and_the_fault_is_told_once(
    ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = replace(REFUSED, after="v1")
    assert ends(DemoOutcome((refused,), 10, (), 10, 10, 0)) == 1
    said = capsys.readouterr()
    assert "v1 (candidate refused)" in said.out
    assert (said.out + said.err).count("did not get better") == 1


def test_a_run_that_is_broken_off_is_told(ends: End, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(DemoOutcome((BETTER,), 10, (), 10, 10, 0, ("run-7",))) == 0
    assert "run run-7 is under way and is broken off; `up` goes on with it" in capsys.readouterr().out
