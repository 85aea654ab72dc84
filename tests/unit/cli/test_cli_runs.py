"""What the list of runs says of one that is under way, and what of one that has ended."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from thumbwheel.cli.main import main
from thumbwheel.client import AdminClient
from thumbwheel.client.admin import PolicyStatus, ServiceStatus
from thumbwheel.records import GateResult, PolicyKind, Run, RunState, RunStep

RUNNING = Run("r2", "desk", RunState.RUNNING, RunStep.IMPROVE, "v1", 1)
REJECTED = Run("r1", "desk", RunState.REJECTED, RunStep.PUBLISH, "v1", 1, ended_us=2, votes=7, summary="too close.")


def runs(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["thumbwheel", "--admin-address", "127.0.0.1:1", "runs", *arguments])
    main()


@pytest.mark.parametrize(("share", "told"), [(0.43, "improve 43%"), (0.0, "improve")])
def test_how_far_a_running_step_is(
    share: float, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = PolicyStatus("desk", PolicyKind.CLASSIFY, "v1", "", 0, 0, "", 0, "r2", 0.5, 9, "improve", share)
    monkeypatch.setattr(AdminClient, "runs", lambda *_: (RUNNING, REJECTED))
    monkeypatch.setattr(AdminClient, "status", lambda _: ServiceStatus("1", 0, (desk,), 0, 0, 0, ""))
    runs(monkeypatch)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("r")}
    assert f" {told} " in lines["r2"]
    assert ("%" in lines["r2"]) == ("%" in told)
    assert "rejected" in lines["r1"]


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (REJECTED, "desk: rejected, 7 votes, v1 as the start"),
        (RUNNING, "desk: running at improve, 0 votes, v1 as the start"),
    ],
)
def test_the_step_is_told_of_a_run_that_stands_in_one(
    run: Run, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(AdminClient, "run", lambda *_: run)
    runs(monkeypatch, run.run_id)
    assert capsys.readouterr().out.splitlines()[0] == told


def test_below_a_failed_gate_stands_where_it_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = (
        GateResult("kl_budget", True, 0.1, 3.0, 0.1, 0.1, "near."),
        GateResult("off_policy_snips", False, 0.0, 0.0, -0.1, 0.1, "too close."),
    )
    monkeypatch.setattr(AdminClient, "run", lambda *_: replace(REJECTED, gates=gates))
    runs(monkeypatch, "r1")
    told = [line for line in capsys.readouterr().out.splitlines() if "gates explain" in line]
    assert told == ["why, and what to do: thumbwheel gates explain off_policy_snips"]
