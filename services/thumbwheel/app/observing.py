"""What metrics tell of parts that don't count themselves: looked at every so often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from thumbwheel.app.background import in_background
from thumbwheel.app.relaying import look_at_outbox
from thumbwheel.bus.group_commit import Write
from thumbwheel.bus.port import TOPICS
from thumbwheel.bus.source import Source, places
from thumbwheel.errors import Unavailable
from thumbwheel.records import RunState, VoteCounts
from thumbwheel.registry.port import Registry
from thumbwheel.registry.trial import Trial, TrialState
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.metrics import LogMetrics, Metrics

_PERIOD_S = 10.0
_RUNS_LOOKED_AT = 100
_TRIALS_LOOKED_AT = 10

logger = structlog.get_logger(__name__)


def write_observer(metrics: LogMetrics) -> Callable[[Write], None]:
    """Return what counts the log's durable writes."""

    def observe(write: Write) -> None:
        metrics.append_duration.observe(write.seconds)
        if write.problem is None:
            metrics.append_records.observe(write.records)
        else:
            metrics.append_failures.inc()

    return observe


@contextmanager
def observing(metrics: Metrics, observer: Observer) -> Iterator[None]:
    """Let `observer` look now and then, on a thread of its own, while the block runs."""

    def run(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                observer.look(metrics)
            except Unavailable as error:
                logger.warning("metrics of the storage are out of date", problem=str(error))
            stop.wait(_PERIOD_S)

    with in_background("observing", run):
        yield


Look = Callable[[Metrics], None]


class Observer:
    """Looks at one thing after the other. Used from one thread."""

    def __init__(self, *looks: Look) -> None:
        """Each of `looks` sets what there is now, and may raise Unavailable."""
        self._looks = looks

    def look(self, metrics: Metrics) -> None:
        """Set what there is now. Raises Unavailable where a part is away; the others were looked at."""
        problem: Unavailable | None = None
        for look in self._looks:
            try:
                look(metrics)
            except Unavailable as error:
                problem = problem or error
        if problem is not None:
            raise problem


def whole_service(source: Source, store: FeedbackStore, registry: Registry, log_path: Path) -> Observer:
    """Return who looks at everything there is to see where all is in one process."""
    return Observer(
        at_log(source, log_path),
        at_store(store),
        RunsLook(store),
        TrialsLook(registry),
        at_votes(store, registry),
        at_lag(source, store),
    )


def at_log(source: Source, log_path: Path) -> Look:
    """Look at the log on this machine's disk: its size, and as an outbox what waits in it."""

    def look(metrics: Metrics) -> None:
        metrics.log.size.set(sum(_size(path) for path in _files(log_path)))
        if source.outbox is not None:
            look_at_outbox(source.outbox, metrics.outbox)

    return look


def at_store(store: FeedbackStore) -> Look:
    """Look at what in the store waits for something."""

    def look(metrics: Metrics) -> None:
        metrics.ingest.orphans.set(store.count_orphans())
        metrics.ingest.dead_letters.set(store.count_dead_letters())

    return look


def at_votes(store: FeedbackStore, registry: Registry) -> Look:
    """Look at the votes on each version."""

    def look(metrics: Metrics) -> None:
        for policy, _ in registry.policies():
            for version, counts in store.vote_counts(policy).items():
                for vote, number in _by_vote(counts).items():
                    metrics.feedback.votes.set(number, policy=policy, policy_version=version, vote=vote)

    return look


def at_lag(source: Source, store: FeedbackStore) -> Look:
    """Look at how far ingest is behind the log."""

    def lag(topic: str, partition: int) -> int:
        read = store.offset(source.consumer, topic, partition, source.log.identity(topic))
        return max(0, source.log.end_offset(topic, partition) - read)

    def look(metrics: Metrics) -> None:
        for topic in TOPICS:
            metrics.ingest.lag.set(sum(lag(*place) for place in places(source.log, [topic])), topic=topic)

    return look


class TrialsLook:
    """Looks at versions on trial."""

    def __init__(self, registry: Registry) -> None:
        """Trials that end from now on are counted."""
        self._registry = registry
        self._seen: dict[str, int] = {}

    def __call__(self, metrics: Metrics) -> None:
        """Set which trials are running and who was heard in them, and count those that have ended."""
        metrics.trial.running.clear()
        metrics.trial.voices.clear()
        for policy, _ in self._registry.policies():
            newest = self._registry.trials.newest(policy, _TRIALS_LOOKED_AT)
            for trial in newest[:1]:
                if trial.state is TrialState.RUNNING:
                    _show(trial, metrics)
            self._count(policy, newest, metrics)

    def _count(self, policy: str, newest: Sequence[Trial], metrics: Metrics) -> None:
        ended = [trial for trial in newest if trial.state is not TrialState.RUNNING]
        seen = self._seen.get(policy)
        for trial in ended:
            if seen is not None and trial.trial_id > seen:
                metrics.trial.ended.inc(policy=policy, state=trial.state.value)
        self._seen[policy] = max([seen or 0, *(trial.trial_id for trial in ended)])


class RunsLook:
    """Looks at runs."""

    def __init__(self, store: FeedbackStore) -> None:
        """Runs that have ended by now are not counted; those that end from now on are."""
        self._store = store
        self._ended = {run.run_id for run in store.runs(limit=_RUNS_LOOKED_AT) if run.state.is_final}

    def __call__(self, metrics: Metrics) -> None:
        """Set which run, and count those that have ended since."""
        runs = self._store.runs(limit=_RUNS_LOOKED_AT)
        for policy in {run.policy for run in runs}:
            at_work = sum(run.policy == policy and run.state is RunState.RUNNING for run in runs)
            metrics.run.running.set(at_work, policy=policy)
        for run in runs:
            if run.state.is_final and run.run_id not in self._ended:
                self._ended.add(run.run_id)
                metrics.run.finished.inc(policy=run.policy, state=run.state.value)
                metrics.run.duration.observe((run.ended_us - run.started_us) / 1e6, policy=run.policy)


def _show(trial: Trial, metrics: Metrics) -> None:
    metrics.trial.running.set(1, policy=trial.policy, kind=trial.kind.value)
    for version, voices in ((trial.version, trial.voices), (trial.control, trial.control_voices)):
        for vote, number in (("up", voices.up), ("down", voices.down)):
            metrics.trial.voices.set(number, policy=trial.policy, policy_version=version, vote=vote)


def _by_vote(counts: VoteCounts) -> dict[str, int]:
    return {
        "up": counts.thumbs_up,
        "down": counts.thumbs_down,
        "rating": counts.ratings,
        "ranking": counts.rankings,
        "edit": counts.edits,
    }


def _files(log_path: Path) -> tuple[Path, ...]:
    return log_path, log_path.with_name(log_path.name + "-wal"), log_path.with_name(log_path.name + "-shm")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
