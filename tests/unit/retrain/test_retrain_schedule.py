"""When a run is due, and that the scheduler starts it once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest

from thumbwheel.config.settings import Schedule
from thumbwheel.records import Channel, FeedbackKind, PolicyKind, Run, RunState, RunStep
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.runner import Runner
from thumbwheel.retrain.schedule import Scheduler
from thumbwheel.retrain.standing import Standing, due, next_run
from thumbwheel.store.port import FeedbackStore

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NIGHTLY = Schedule(cron="0 3 * * *")


def test_the_next_run_is_the_next_time_of_the_expression_in_utc() -> None:
    assert next_run(NIGHTLY, NOON) == datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
    assert next_run(NIGHTLY, datetime(2026, 3, 2, 3, 0, tzinfo=UTC)) == datetime(2026, 3, 3, 3, 0, tzinfo=UTC)
    late = datetime(2026, 3, 2, 4, 30, tzinfo=timezone(timedelta(hours=2)))
    assert next_run(NIGHTLY, late) == datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
    assert next_run(Schedule(), NOON) is None


@pytest.mark.parametrize(
    ("schedule", "hours", "votes", "expected"),
    [
        (NIGHTLY, 14, 0, ""),
        (NIGHTLY, 15, 0, "0 3 * * *"),
        (NIGHTLY, 200, 0, "0 3 * * *"),
        (Schedule(min_new_votes=100), 200, 99, ""),
        (Schedule(min_new_votes=100), 0, 100, "100 new votes"),
        (Schedule(cron="0 3 * * *", min_new_votes=100), 1, 100, "100 new votes"),
        (Schedule(cron="0 3 * * *", min_new_votes=100), 15, 0, "0 3 * * *"),
        (Schedule(), 10_000, 10_000_000, ""),
    ],
)
def test_a_run_is_due_by_the_clock_or_by_votes(schedule: Schedule, hours: int, votes: int, expected: str) -> None:
    reason = due(schedule, Standing(NOON, votes), NOON + timedelta(hours=hours))
    assert expected in reason and bool(reason) == bool(expected)


class FakeLoop:
    """Runner, store and registry in one: two policies, of which one has no champion."""

    def __init__(self) -> None:
        self.votes = {"desk": 0, "draft": 1000}
        self.run: Run | None = None
        self.started: list[tuple[str, str, str]] = []
        self.busy = ""
        self.began = threading.Event()

    def active(self) -> str:
        return self.busy

    def start(self, policy: str, actor: str, reason: str, run_id: str) -> str:
        self.started.append((policy, actor, reason))
        self.busy = "run-1"
        self.began.set()
        return "run-1"

    def runs(self, policy: str = "", limit: int = 1) -> list[Run]:
        return [self.run] if self.run and policy in ("", "desk") else []

    def new_votes(self, policy: str, since: int) -> dict[FeedbackKind, int]:
        """A third of the votes each are stars and corrections, from which a policy that classifies learns, too."""
        new = max(0, self.votes[policy] - since)
        stars, edits = new // 3, new // 3
        thumbs = new - stars - edits
        kinds = {FeedbackKind.THUMB: thumbs, FeedbackKind.RATING: stars, FeedbackKind.EDIT: edits}
        return kinds | {FeedbackKind.RANKING: 444}

    def policies(self) -> list[tuple[str, PolicyKind]]:
        return [("desk", PolicyKind.CLASSIFY), ("draft", PolicyKind.CLASSIFY)]

    def channels(self, policy: str) -> dict[Channel, str]:
        return {Channel.CHAMPION: "v1"} if policy == "desk" else {}


def scheduler(loop: FakeLoop, schedule: Schedule, now: datetime = NOON) -> Scheduler:
    parts = cast(Runner, loop), cast(FeedbackStore, loop), cast(Registry, loop)
    return Scheduler(*parts, schedule, now=lambda: now)


def test_the_scheduler_starts_a_due_policy_once() -> None:
    loop = FakeLoop()
    watched = scheduler(loop, Schedule(min_new_votes=50))
    assert watched.look() == ""
    loop.votes["desk"] = 50
    assert watched.look() == "run-1"
    assert watched.look() == ""
    assert loop.started == [("desk", "schedule", "50 new votes, a run takes 50")]


def test_a_policy_with_a_number_of_its_own_waits_for_that_many_votes() -> None:
    loop = FakeLoop()
    loop.votes["desk"] = 50
    watched = scheduler(loop, Schedule(min_new_votes=50, min_new_votes_of="desk=70, draft=0"))
    assert watched.look() == ""
    loop.votes["desk"] = 70
    assert watched.look() == "run-1"
    assert loop.started == [("desk", "schedule", "70 new votes, a run takes 70")]
    assert scheduler(loop, Schedule(min_new_votes=50, min_new_votes_of="desk=0")).standings.due("desk") == ""
    assert scheduler(loop, Schedule(min_new_votes=50, min_new_votes_of="draft=0")).standings.due("desk")


def test_votes_count_from_the_last_run_on_whatever_became_of_it() -> None:
    loop = FakeLoop()
    loop.votes["desk"] = 130
    loop.run = Run("run-0", "desk", RunState.FAILED, RunStep.FIT, "v1", int(NOON.timestamp() * 1e6), watermark=100)
    watched = scheduler(loop, Schedule(cron="0 3 * * *", min_new_votes=50), NOON + timedelta(hours=1))
    assert watched.standings.of("desk") == Standing(NOON, 30, 444)
    assert watched.look() == ""
    assert watched.standings.next_run("desk") == datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
    loop.votes["desk"] = 150
    assert watched.look() == "run-1"


def test_the_thread_looks_and_ends() -> None:
    loop = FakeLoop()
    loop.votes["desk"] = 50
    watched = scheduler(loop, Schedule(min_new_votes=50, check_s=0.001))
    watched.start()
    assert loop.began.wait(10)
    watched.stop()
    assert [policy for policy, _, _ in loop.started] == ["desk"]
