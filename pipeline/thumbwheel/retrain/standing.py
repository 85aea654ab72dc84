"""How policies stand towards their next run, as anybody sees it who has the store and the schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim

from thumbwheel.config.settings import Schedule
from thumbwheel.dataset.manifest import learned_from
from thumbwheel.records import PolicyKind
from thumbwheel.registry.port import Registry
from thumbwheel.store.port import FeedbackStore


@dataclass(frozen=True, slots=True)
class Standing:
    """How a policy stands towards its next run.

    `last` is when its last run began (or the process that asks, if there was none); `new_votes` counts the votes since
    that run's watermark that a run learns from, `new_other_votes` the rest.
    """

    last: datetime
    new_votes: int
    new_other_votes: int = 0


def next_run(schedule: Schedule, after: datetime) -> datetime | None:
    """The first time of the cron expression after `after` (aware); None when there is no expression."""
    if not schedule.cron:
        return None
    return next(CronSim(schedule.cron, after.astimezone(UTC)), None)


def due(schedule: Schedule, standing: Standing, now: datetime) -> str:
    """Why a run should start now, in words; empty when none should.

    A time that passed while nobody looked is made up for, once.
    """
    at = next_run(schedule, standing.last)
    if at is not None and at <= now:
        return f"the schedule `{schedule.cron}` (due {at:%Y-%m-%d %H:%M} UTC)"
    if schedule.min_new_votes and standing.new_votes >= schedule.min_new_votes:
        return f"{standing.new_votes:,} new votes, a run takes {schedule.min_new_votes:,}"
    return ""


def kinds_in(registry: Registry) -> Callable[[str], PolicyKind]:
    """What tells the kind of a policy that the registry has; of another, that with fewest kinds of votes."""
    return lambda policy: dict(registry.policies()).get(policy, PolicyKind.CLASSIFY)


class Standings:
    """Tells how policies stand. `now` gives the time, aware; a policy without any run counts from `began`."""

    def __init__(
        self,
        store: FeedbackStore,
        schedule: Schedule,
        began: datetime,
        now: Callable[[], datetime],
        kind_of: Callable[[str], PolicyKind] = lambda policy: PolicyKind.CLASSIFY,
    ) -> None:
        """Count in `store`. `kind_of` tells a policy's kind; where it is not given, all are taken to classify."""
        self._store = store
        self._kind_of = kind_of
        self._schedule = schedule
        self._began = began
        self._now = now

    def of(self, policy: str) -> Standing:
        """How a policy stands towards its next run."""
        newest = self._store.runs(policy, limit=1)
        votes = self._store.new_votes(policy, newest[0].watermark if newest else 0)
        last = datetime.fromtimestamp(newest[0].started_us / 1e6, UTC) if newest else self._began
        taught = sum(votes.get(kind, 0) for kind in learned_from(self._kind_of(policy))) if votes else 0
        return Standing(last, taught, sum(votes.values()) - taught)

    def next_run(self, policy: str) -> datetime | None:
        """When the clock starts the next run of a policy; None when only votes or people do."""
        return next_run(self._schedule, max(self.of(policy).last, self._now()))

    def due(self, policy: str) -> str:
        """Why a run of a policy should start now; empty when none should."""
        return due(self._schedule.of(policy), self.of(policy), self._now())
