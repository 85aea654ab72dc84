"""Training beside serving: the runner of runs, its schedule, and how the admin door sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thumbwheel.admin.ports import Schedule
from thumbwheel.app.storage import Storage
from thumbwheel.config.settings import Settings
from thumbwheel.records import RunState
from thumbwheel.retrain.erase import erase_from_runs
from thumbwheel.retrain.runner import Runner
from thumbwheel.retrain.schedule import Scheduler
from thumbwheel.store.port import FeedbackStore


@contextmanager
def learning(settings: Settings, storage: Storage) -> Iterator[TrainingLoop]:
    """Resume interrupted runs, and start others when asked while the block runs; a run at work is stopped after."""
    runner = Runner(storage.store, storage.registry, settings)
    scheduler = Scheduler(runner, storage.store, storage.registry, settings.schedule)
    runner.resume()
    try:
        yield TrainingLoop(runner, scheduler, storage.store, settings)
    finally:
        scheduler.stop()
        runner.stop()


@dataclass(frozen=True, slots=True)
class TrainingLoop:
    """Implements the admin door's `Loop`."""

    runner: Runner
    scheduler: Scheduler
    store: FeedbackStore
    settings: Settings

    def follow_schedule(self) -> None:
        """Start runs by themselves from now on; to be called once."""
        self.scheduler.start()

    def start_run(self, policy: str, actor: str) -> str:
        """Start a run now, also with too few votes: it ends as rejected. Raises RunInProgress."""
        return self.runner.start(policy, actor, "asked for")

    def schedule(self, policy: str) -> Schedule:
        """What starts the next run of a policy, and how far the present one is."""
        at, standing = self.scheduler.next_run(policy), self.scheduler.standing(policy)
        running = self._running(policy)
        progress = self.runner.progress(running) if running else None
        return Schedule(
            new_votes=standing.new_votes,
            new_other_votes=standing.new_other_votes,
            votes_needed=self.settings.schedule.min_new_votes,
            cron=self.settings.schedule.cron,
            next_run_us=int(at.timestamp() * 1e6) if at else 0,
            running_run_id=running,
            running_step=progress.step if progress else "",
            running_progress=progress.done / progress.total if progress and progress.total else 0.0,
        )

    def _running(self, policy: str) -> str:
        newest = self.store.runs(policy, limit=1)
        return newest[0].run_id if newest and newest[0].state is RunState.RUNNING else ""


@dataclass(frozen=True, slots=True)
class RunCopies:
    """Implements the admin door's `Copies`: what runs keep of users."""

    runs_dir: Path

    def erase_user(self, user_hash: str) -> None:
        """Remove a user's rows from every snapshot."""
        erase_from_runs(self.runs_dir, user_hash)
