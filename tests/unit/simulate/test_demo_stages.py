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


class Admin:
    """Tells of a run that is under way when first asked for the status, and has ended when next."""

    def __init__(self) -> None:
        self.steps = ["fit", ""]

    def status(self) -> ServiceStatus:
        self.step = self.steps.pop(0)
        run_id = "r1" if self.step else ""
        status = PolicyStatus("intent", PolicyKind.CLASSIFY, "v1", "", 0, 0, "", 0, run_id, 0.5, 9, self.step, 0.5)
        return ServiceStatus("1", 0, (status,), 0, 0, 0, "")

    def runs(self, policy: str, limit: int) -> tuple[Run, ...]:
        return (self.run("r1"),)

    def run(self, run_id: str) -> Run:
        state = RunState.RUNNING if self.step else RunState.REJECTED
        return Run(run_id, "intent", state, RunStep.FIT, "v1", 1, summary="not better")


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


def test_a_run_that_ended_is_not_said_to_be_waited_for() -> None:
    show = Show()
    ended = asyncio.run(_learned(cast(AdminClient, Admin()), ["intent"], show))
    assert show.told == ["fit", "rejected: not better"]
    assert ended["intent"].state is RunState.REJECTED


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
