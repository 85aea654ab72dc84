"""What the demonstration tells of a run; the whole of it is run end to end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from thumbwheel.client import AdminClient
from thumbwheel.client.admin import PolicyStatus, ServiceStatus
from thumbwheel.config.load import load_settings
from thumbwheel.dataset.split import split_of
from thumbwheel.feedback.raters import Raters
from thumbwheel.records import PolicyKind, Run, RunState, RunStep, Split
from thumbwheel.simulate.demo import INTENT, REPLY, DemoPlan, _learned
from thumbwheel.simulate.users import crowd_of

RUNNING, REJECTED, PROMOTED = RunState.RUNNING, RunState.REJECTED, RunState.PROMOTED


class Admin:
    """Tells at each look at the status of the newest run, and of 4,000 votes that a run takes, of which 700 are in."""

    def __init__(self, *looks: tuple[str, RunState]) -> None:
        self.looks = list(looks)

    def status(self) -> ServiceStatus:
        self.run_id, self.state = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        run_id, step = (self.run_id, "fit") if self.state is RUNNING else ("", "")
        status = PolicyStatus("intent", PolicyKind.CLASSIFY, "v1", "", 700, 4_000, "", 0, run_id, 0.5, 9, step, 0.5)
        return ServiceStatus("1", 0, (status,), 0, 0, 0, "")

    def runs(self, policy: str, limit: int) -> tuple[Run, ...]:
        return (self.run(self.run_id),)

    def run(self, run_id: str) -> Run:
        return Run(run_id, "intent", self.state, RunStep.FIT, "v1", 1, summary=f"{run_id} judged")


class Show:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def counter(self, what: str, total: int) -> Any:
        raise AssertionError("nothing is counted here")

    def learning(self, policy: str, stage: str, share: float) -> None:
        self.told.append(stage)

    def learned(self, policy: str, sentence: str) -> None:
        self.told.append(sentence)


def learned(admin: Admin, most_runs: int) -> tuple[list[str], list[str], list[int]]:
    """What is told of it, the runs that were waited for, and how many votes users were asked for besides."""
    show, asked = Show(), []

    async def vote_on(policy: str, lacking: int) -> None:
        asked.append(lacking)

    ended = asyncio.run(_learned(cast(AdminClient, admin), ["intent"], most_runs, vote_on, show))
    return show.told, [run.run_id for run in ended["intent"]], asked


def test_a_run_that_ended_is_not_said_to_be_waited_for() -> None:
    told, runs, _ = learned(Admin(("r1", RUNNING), ("r1", PROMOTED)), 3)
    assert told == ["fit", "promoted: r1 judged"] and runs == ["r1"]


def test_after_a_refusal_users_vote_on_until_the_next_run_is_due() -> None:
    told, runs, asked = learned(Admin(("r1", REJECTED), ("r1", REJECTED), ("r2", RUNNING), ("r2", PROMOTED)), 3)
    assert runs == ["r1", "r2"] and asked == [3_300]
    assert told[0].startswith('the gates say "not yet": r1 judged') and "at most 3 runs" in told[0]
    assert told[1:] == ["fit", "promoted: r2 judged"]


def test_no_more_runs_than_said_are_waited_for() -> None:
    told, runs, asked = learned(Admin(("r1", REJECTED), ("r2", RUNNING), ("r2", REJECTED), ("r3", RUNNING)), 2)
    assert runs == ["r1", "r2"] and asked == [3_300]
    assert told[-1] == "rejected: r2 judged"


def test_a_run_that_failed_is_the_last() -> None:
    assert learned(Admin(("r1", RunState.FAILED)), 3)[1:] == (["r1"], [])


def test_each_policy_learns_from_nearly_all_of_its_users_first_votes() -> None:
    flags = {name: str(value) for name, value in DemoPlan().settings.items()}
    schedule = load_settings(None, flags).settings.schedule
    assert schedule.of(INTENT).min_new_votes == 3_800
    assert schedule.of(REPLY).min_new_votes == 2_850


@pytest.mark.parametrize("policy", [INTENT, REPLY])
def test_about_a_fifth_of_the_users_judge_whatever_the_keys(policy: str) -> None:
    users = crowd_of(DemoPlan().users)
    shares = []
    for key in range(200):
        raters = Raters(f"a key of {key:029}".encode())
        parts = [split_of(policy, raters.user_hash(user.user_id), 0.2) for user in users]
        shares.append(parts.count(Split.HELD_OUT) / len(parts))
    assert 0.15 < min(shares) < max(shares) < 0.25
