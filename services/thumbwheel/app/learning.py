"""Training beside serving: the runner of runs, its schedule, and how the admin door sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thumbwheel.admin.ports import Schedule
from thumbwheel.app.moved import set_aside_in
from thumbwheel.canary.watcher import Watcher
from thumbwheel.config.settings import Settings
from thumbwheel.dataset.freeze import demand_enough
from thumbwheel.errors import Conflict
from thumbwheel.records import RunState
from thumbwheel.registry.artifacts.reports import KeptReports
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.erase import erase_from_runs
from thumbwheel.retrain.plan import make_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.runner import Runner
from thumbwheel.retrain.schedule import Scheduler
from thumbwheel.retrain.standing import Standings
from thumbwheel.store.port import FeedbackStore


@contextmanager
def learning(settings: Settings, store: FeedbackStore, registry: Registry) -> Iterator[TrainingLoop]:
    """Resume interrupted runs, and start others when asked while the block runs; a run at work is stopped after."""
    runner = Runner(store, registry, settings)
    scheduler = Scheduler(runner, store, registry, settings.schedule)
    watcher = watcher_of(settings, store, registry)
    runner.resume()
    try:
        yield TrainingLoop(runner, scheduler, watcher, store, registry, settings)
    finally:
        watcher.stop()
        scheduler.stop()
        runner.stop()


@dataclass(frozen=True, slots=True)
class TrainingLoop:
    """Implements the admin door's `Loop`."""

    runner: Runner
    scheduler: Scheduler
    watcher: Watcher
    store: FeedbackStore
    registry: Registry
    settings: Settings

    def follow_schedule(self) -> None:
        """Start runs, and look after versions on trial, by themselves from now on; to be called once."""
        self.scheduler.start()
        self.watcher.start()

    def start_run(self, policy: str, actor: str) -> str:
        """Start a run now. Raises RunInProgress, and NotEnoughData where it is plain that too few votes teach."""
        if not self.runner.active():
            demand_enough(self.store, make_plan(self.store, self.registry, self.settings, policy).votes)
        return self.runner.start(policy, actor, "asked for")

    def schedule(self, policy: str) -> Schedule:
        """What starts the next run of a policy, and how far the present one is."""
        return schedule_of(policy, self.store, self.scheduler.standings, self.settings)


def watcher_of(settings: Settings, store: FeedbackStore, registry: Registry) -> Watcher:
    """Who looks after versions on trial."""
    return Watcher(store, registry, settings.canary, settings.data.anonymous_as_one)


def schedule_of(policy: str, store: FeedbackStore, standings: Standings, settings: Settings) -> Schedule:
    """What starts the next run of a policy, and how far the present one is.

    How far within its step is seen on the home that it runs in; from elsewhere its step is.
    """
    at, standing = standings.next_run(policy), standings.of(policy)
    newest = next(iter(store.runs(policy, limit=1)), None)
    running = newest if newest and not newest.state.is_final else None
    told = RunFolder(settings.runs_dir / running.run_id).progress() if running else None
    step = told.step if told else running.step if running else ""
    return Schedule(
        new_votes=standing.new_votes,
        new_other_votes=standing.new_other_votes,
        votes_needed=settings.schedule.of(policy).min_new_votes,
        cron=settings.schedule.cron,
        next_run_us=int(at.timestamp() * 1e6) if at else 0,
        running_run_id=running.run_id if running else "",
        running_step=RunState.QUEUED if running and running.state is RunState.QUEUED else step,
        running_progress=told.done / told.total if told and told.total else 0.0,
    )


@dataclass(frozen=True, slots=True)
class RunCopies:
    """Implements the admin door's `Copies`: what runs keep of users, in their folders and in reports kept elsewhere."""

    runs_dir: Path
    reports: KeptReports | None = None

    def demand_erasable(self) -> None:
        """Raise Conflict while the database that was moved elsewhere lies in the home: it has all texts of before."""
        aside = set_aside_in(self.runs_dir.parent)
        if aside.exists():
            raise Conflict(
                f"{aside} still has the texts of users, from before the move; remove it, if all is well, and erase "
                "again: nothing was removed"
            )

    def erase_user(self, user_hash: str) -> list[str]:
        """Remove a user's rows from every snapshot, and the samples from the reports of their runs; return the ids."""
        return erase_from_runs(self.runs_dir, user_hash, self.reports)
