"""What starts runs by themselves: those asked for elsewhere, those that the clock or enough new votes make due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from thumbwheel.config.settings import Schedule
from thumbwheel.errors import RunInProgress, ThumbwheelError, Unavailable
from thumbwheel.records import Channel
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.queue import queued
from thumbwheel.retrain.runner import Runner
from thumbwheel.retrain.standing import Standings, kinds_in
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.logging import get_logger

log = get_logger(__name__)

ACTOR = "schedule"


@dataclass(frozen=True, slots=True)
class Due:
    """A run that should start now, and why; with a `run_id` where it was asked for under one."""

    policy: str
    reason: str
    run_id: str = ""


class Scheduler:
    """A thread that looks, every `check_s`, whether a run is due, and starts it."""

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
        self.standings = Standings(store, schedule, now(), now, kinds_in(registry))
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

    def look(self) -> str:
        """Start the first run that is due, if nothing runs here; return its id, or an empty string.

        One whose policy is at work in another process has to wait, and keeps no other one waiting.
        """
        if self._runner.active():
            return ""
        for one in due_now(self._store, self._registry, self.standings):
            try:
                return begin(self._runner, one)
            except RunInProgress as busy:
                log.debug("a run that is due waits", policy=one.policy, reason=str(busy))
        return ""

    def _look_until_ended(self) -> None:
        while not self._ended.wait(self._schedule.check_s):
            try:
                self.look()
            except ThumbwheelError as error:
                log.warning("no run was started", reason=str(error))


def due_now(store: FeedbackStore, registry: Registry, standings: Standings) -> Iterator[Due]:
    """Yield the runs that should start now: first those that were asked for, oldest first."""
    for run in queued(store):
        yield Due(run.policy, "asked for", run.run_id)
    for policy, _ in registry.policies():
        reason = standings.due(policy)
        if reason and Channel.CHAMPION in registry.channels(policy):
            yield Due(policy, reason)


def begin(runner: Runner, one: Due) -> str:
    """Start a run that is due; return its id. One that was asked for and can't be begun has failed.

    Raises:
        RunInProgress: its policy is at work elsewhere.
        Unavailable: the disk or the database can not be written.
        NotFound, Conflict: it can't be started; one that was asked for is written down as failed.
    """
    log.info("run is due", policy=one.policy, reason=one.reason)
    try:
        return runner.start(one.policy, ACTOR, one.reason, one.run_id)
    except (RunInProgress, Unavailable):
        raise
    except ThumbwheelError as error:
        if one.run_id:
            runner.give_up(one.run_id, str(error))
        raise
