"""`canary`: trials and shadows as the command line tells of them; what a trial is, its service decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from thumbwheel.cli.main import group
from thumbwheel.client import AdminClient
from thumbwheel.client.admin import Moved, PolicyStatus, ServiceStatus
from thumbwheel.client.trials import TrialReport
from thumbwheel.records import Channel, PolicyKind

TRIAL = TrialReport("desk", "canary", "running", "v3", "v2", 0.1, 60_000_000, 0, 7, 3, 5, 5, "Too early to say.", "{}")
POLICY = PolicyStatus("desk", PolicyKind.CLASSIFY, "v2", "v3", 0, 0, "", 0, "", 0.5, 10)

Order = Callable[..., Result]


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Run `canary` with some arguments; whoever looks for a home finds none."""
    doors = ["--home", str(tmp_path), "--admin-address", "127.0.0.1:1"]
    return lambda *words: CliRunner().invoke(group, [*doors, *words])


def standing(policy: PolicyStatus, monkeypatch: pytest.MonkeyPatch, trials: list[TrialReport]) -> None:
    status = ServiceStatus("1", 0, (policy,), 0, 0, 0, "/home")
    monkeypatch.setattr(AdminClient, "status", lambda _: status)
    monkeypatch.setattr(AdminClient, "policies", lambda _: (policy,))
    monkeypatch.setattr(AdminClient, "trials", lambda *_, **__: trials)


def test_a_canary_is_started_with_its_share_and_stopped(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def start(_: AdminClient, *which: str, share: float, reason: str, actor: str) -> TrialReport:
        asked.append((*which, share, reason, actor))
        return TRIAL

    monkeypatch.setattr(AdminClient, "start_canary", start)
    monkeypatch.setattr(AdminClient, "stop_trial", lambda *_, **__: replace(TRIAL, state="stopped"))
    words = ["canary", "start", "desk", "v3", "--reason", "r", "--actor", "ann"]
    begun = order(*words, "--share", "0.1", "--json")
    [row] = json.loads(begun.stdout)
    assert (row["version"], row["control"], row["up"], row["down"]) == ("v3", "v2", 7, 3)
    assert order(*words).exit_code == 0
    assert asked == [("desk", "v3", 0.1, "r", "ann"), ("desk", "v3", 0.0, "r", "ann")]
    ended = order("canary", "stop", "desk", "--reason", "r").stdout
    assert "v3 against v2" in ended and "canary 10.0%" in ended and "stopped" in ended and "7/10" in ended


def test_a_shadow_is_a_row_beside_the_trials(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    standing(replace(POLICY, shadow="v4"), monkeypatch, [TRIAL])
    shadow, canary = json.loads(order("canary", "status", "--json").stdout)
    assert (shadow["kind"], shadow["state"], shadow["version"], shadow["control"]) == ("shadow", "running", "v4", "v2")
    assert canary["kind"] == "canary"
    said = order("canary", "status", "desk").stdout
    assert "v4 against v2" in said and "answers unseen" in said and "0/0" not in said
    assert "desk: v4 is its shadow and answers unseen\n" in order("status").stdout


def test_without_a_trial_or_a_shadow_it_says_so(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    standing(POLICY, monkeypatch, [])
    assert order("canary", "status").stdout == "no version was on trial yet\n"
    assert "shadow" not in order("status").stdout


@pytest.mark.parametrize(
    ("previous", "said"),
    [("v4", "desk    shadow   v4   -"), ("", "desk has no shadow; nothing was changed")],
)
def test_a_shadow_is_stopped_once(previous: str, said: str, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Moved("desk", Channel.SHADOW, previous, "")
    monkeypatch.setattr(AdminClient, "set_shadow", lambda *_, **__: moved)
    assert order("canary", "stop", "desk", "--shadow", "--reason", "r").stdout.splitlines()[-1] == said


def test_a_share_that_is_no_number_is_refused_with_the_range(order: Order) -> None:
    refused = order("canary", "start", "desk", "v3", "--reason", "r", "--share", "abc")
    assert refused.exit_code == 2
    assert "'abc' is no number; give one above 0 to 0.5" in refused.stderr
