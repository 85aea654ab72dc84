"""Training alone: what `thumbwheel retrain --watch` and `--once` run.

It needs the database, the versions' store and a home for the runs' folders; it takes no part in serving, and reads no
Kafka. A run of a policy is one at a time by its lease in the database, wherever it is begun. Runs that were interrupted
in this home go on from where they were; one whose home is gone is closed as failed when the next of its policy begins.

On SIGTERM or SIGINT the run at work is stopped at its last checkpoint; the next start on this home goes on with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from thumbwheel.app.awaiting import database_there
from thumbwheel.app.following import following_erasures
from thumbwheel.app.home import trains_here
from thumbwheel.app.learning import learning, watcher_of
from thumbwheel.app.lifetime import on_signals
from thumbwheel.app.observing import Observer, RunsLook, TrialsLook, at_votes, observing
from thumbwheel.app.probing import probing
from thumbwheel.app.retention import forget_runs, retaining
from thumbwheel.app.storage import open_learned
from thumbwheel.app.trust import demand_guarded, probes_host
from thumbwheel.config.settings import Schedule, Settings
from thumbwheel.errors import RunInProgress, ThumbwheelError, Unavailable
from thumbwheel.records import Run
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.erase import follow_erasures
from thumbwheel.retrain.runner import Runner
from thumbwheel.retrain.schedule import begin, due_now
from thumbwheel.retrain.standing import Standings, kinds_in
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health, HealthState

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


async def watch(settings: Settings, ready: Callable[[str], None]) -> None:
    """Start runs as the schedule says, and those that are asked for, until SIGTERM or SIGINT.

    `ready` is told where its probes are.

    Raises:
        HomeInUse: another process trains in the home.
        InvalidConfig: the probes' port is taken.
        SchemaMismatch: a newer release wrote the database.
        Unavailable: the home can not be written. A database that is away is waited for.
    """
    demand_guarded(settings, probes_host(settings))
    os.umask(0o077)  # snapshots hold users' texts
    stopped, metrics = on_signals(), Metrics()
    async with AsyncExitStack() as stack:
        stack.enter_context(trains_here(settings.home))
        if not await database_there(settings, settings.probes.retrain_port, "probes.retrain_port", metrics, stopped):
            return
        store, registry = stack.enter_context(open_learned(settings))
        stack.enter_context(
            observing(metrics, Observer(RunsLook(store), TrialsLook(registry), at_votes(store, registry)))
        )
        stack.enter_context(following_erasures(settings, store))
        stack.enter_context(retaining(settings, lambda actor: forget_runs(settings, store, actor)))
        training = stack.enter_context(learning(settings, store, registry))

        def health() -> Health:
            return Health(HealthState.SERVING, {"run": training.runner.active() or "none"})

        port = settings.probes.retrain_port
        url = await stack.enter_async_context(probing(settings, port, "probes.retrain_port", health, metrics))
        training.follow_schedule()
        ready(url)
        await stopped.wait()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run that was due: the run as it ended, or why it was not begun, or not ended."""

    policy: str
    run: Run | None
    problem: str = ""


async def once(settings: Settings, told: Callable[[Outcome], None]) -> bool:
    """Go on with interrupted runs, then do every run that is due, one after the other; `told` hears of each.

    With neither `schedule.cron` nor a number of new votes whoever calls is the schedule: each policy with a new vote is
    due. Return whether all was done; False when SIGTERM or SIGINT came first.

    Raises as `watch` does, and Unavailable when the database is away: whoever calls it calls again.
    """
    os.umask(0o077)
    stopped = on_signals()
    with trains_here(settings.home), open_learned(settings) as (store, registry):
        follow_erasures(settings.runs_dir, store, open_reports(settings))
        if settings.store.retention_days:
            forget_runs(settings, store, "schedule")
        watcher_of(settings, store, registry).look()
        runner = Runner(store, registry, settings)
        ending = asyncio.create_task(stopped.wait())
        work = asyncio.create_task(asyncio.to_thread(_all_due, settings, store, registry, runner, told))
        try:
            await asyncio.wait({ending, work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            await asyncio.to_thread(runner.stop)
        return await work


def _all_due(
    settings: Settings, store: FeedbackStore, registry: Registry, runner: Runner, told: Callable[[Outcome], None]
) -> bool:
    for outcome in _outcomes(settings, store, registry, runner):
        told(outcome)
    return not runner.stopping


def _outcomes(settings: Settings, store: FeedbackStore, registry: Registry, runner: Runner) -> Iterator[Outcome]:
    interrupted = runner.resume()
    runner.wait()
    yield from (_ended(store, run_id) for run_id in interrupted)
    standings = Standings(store, _schedule(settings.schedule), _EVER, lambda: datetime.now(UTC), kinds_in(registry))
    for one in due_now(store, registry, standings):
        if runner.stopping:
            return
        try:
            run_id = begin(runner, one)
        except RunInProgress as busy:
            yield Outcome(one.policy, None, str(busy))
            continue
        except Unavailable:
            raise
        except ThumbwheelError as error:
            yield Outcome(one.policy, store.run(one.run_id) if one.run_id else None, str(error))
            continue
        runner.wait()
        yield _ended(store, run_id)


def _ended(store: FeedbackStore, run_id: str) -> Outcome:
    run = store.run(run_id)
    assert run is not None  # it was begun
    return Outcome(run.policy, run, run.error)


def _schedule(schedule: Schedule) -> Schedule:
    asked = schedule.cron or schedule.min_new_votes or schedule.min_new_votes_of
    return schedule if asked else schedule.model_copy(update={"min_new_votes": 1})
