"""When a run starts by itself: at the times of a cron expression (UTC), when enough new votes are in, or both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim

from thumbwheel.config.settings import Schedule
from thumbwheel.dataset.manifest import LEARNED_FROM
from thumbwheel.errors import ThumbwheelError
from thumbwheel.records import Channel
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.runner import Runner
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.logging import get_logger

log = get_logger(__name__)

ACTOR = "schedule"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a policy stands towards its next run.

    `last` is when its last run began (or the service, if there was none); `new_votes` counts the votes since that run's
    watermark that a run learns from, `new_other_votes` the rest.
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

    A time that passed while the service was down is made up for, once.
    """
    at = next_run(schedule, standing.last)
    if at is not None and at <= now:
        return f"the schedule `{schedule.cron}` (due {at:%Y-%m-%d %H:%M} UTC)"
    if schedule.min_new_votes and standing.new_votes >= schedule.min_new_votes:
        return f"{standing.new_votes:,} new votes, a run takes {schedule.min_new_votes:,}"
    return ""


class Scheduler:
    """A thread that looks, every `check_s`, whether a policy is due, and starts its run."""

    def __init__(
        self,
        runner: Runner,
        store: FeedbackStore,
        registry: Registry,
        schedule: Schedule,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Nothing happens before `start`. `now` gives the time, aware."""
        self._runner = runner
        self._store = store
        self._registry = registry
        self._schedule = schedule
        self._now = now
        self._began = now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_until_ended, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a run under way is the runner's."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def standing(self, policy: str) -> Standing:
        """How a policy stands towards its next run."""
        newest = self._store.runs(policy, limit=1)
        votes = self._store.new_votes(policy, newest[0].watermark if newest else 0)
        last = datetime.fromtimestamp(newest[0].started_us / 1e6, UTC) if newest else self._began
        taught = sum(votes.get(kind, 0) for kind in LEARNED_FROM)
        return Standing(last, taught, sum(votes.values()) - taught)

    def next_run(self, policy: str) -> datetime | None:
        """When the clock starts the next run of a policy; None when only votes or people do."""
        return next_run(self._schedule, max(self.standing(policy).last, self._now()))

    def look(self) -> str:
        """Start the run of the first policy that is due, if nothing runs; return its id, or an empty string."""
        if self._runner.active():
            return ""
        for policy, _ in self._registry.policies():
            reason = due(self._schedule, self.standing(policy), self._now())
            if reason and Channel.CHAMPION in self._registry.channels(policy):
                log.info("run is due", policy=policy, reason=reason)
                return self._runner.start(policy, ACTOR, reason)
        return ""

    def _look_until_ended(self) -> None:
        while not self._ended.wait(self._schedule.check_s):
            try:
                self.look()
            except ThumbwheelError as error:
                log.warning("no run was started", reason=str(error))
