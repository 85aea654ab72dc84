"""What metrics tell of parts that don't count themselves: looked at every so often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
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
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.metrics import IngestMetrics, LogMetrics, Metrics, RunMetrics

_PERIOD_S = 10.0
_RUNS_LOOKED_AT = 100

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


class Observer:
    """Looks at log, store and runs. Used from one thread."""

    def __init__(self, source: Source, store: FeedbackStore, registry: Registry, log_path: Path) -> None:
        """Runs that have ended by now are not counted; those that end from now on are."""
        self._source = source
        self._store = store
        self._registry = registry
        self._log_path = log_path
        self._ended = {run.run_id for run in store.runs(limit=_RUNS_LOOKED_AT) if run.state is not RunState.RUNNING}

    def look(self, metrics: Metrics) -> None:
        """Set what there is now. Raises Unavailable where a part is away; the others were looked at."""
        metrics.log.size.set(sum(_size(path) for path in _files(self._log_path)))
        if self._source.outbox is not None:
            look_at_outbox(self._source.outbox, metrics.outbox)
        self._look_at_store(metrics)
        self._look_at_lag(metrics.ingest)

    def _look_at_store(self, metrics: Metrics) -> None:
        metrics.ingest.orphans.set(self._store.count_orphans())
        metrics.ingest.dead_letters.set(self._store.count_dead_letters())
        self._look_at_runs(metrics.run)
        for policy, _ in self._registry.policies():
            for version, counts in self._store.vote_counts(policy).items():
                for vote, number in _by_vote(counts).items():
                    metrics.feedback.votes.set(number, policy=policy, policy_version=version, vote=vote)

    def _look_at_lag(self, metrics: IngestMetrics) -> None:
        for topic in TOPICS:
            metrics.lag.set(sum(self._lag(*place) for place in places(self._source.log, [topic])), topic=topic)

    def _lag(self, topic: str, partition: int) -> int:
        offset = self._store.offset(self._source.consumer, topic, partition)
        return max(0, self._source.log.end_offset(topic, partition) - offset)

    def _look_at_runs(self, metrics: RunMetrics) -> None:
        runs = self._store.runs(limit=_RUNS_LOOKED_AT)
        for policy in {run.policy for run in runs}:
            at_work = sum(run.policy == policy and run.state is RunState.RUNNING for run in runs)
            metrics.running.set(at_work, policy=policy)
        for run in runs:
            if run.state is not RunState.RUNNING and run.run_id not in self._ended:
                self._ended.add(run.run_id)
                metrics.finished.inc(policy=run.policy, state=run.state.value)
                metrics.duration.observe((run.ended_us - run.started_us) / 1e6, policy=run.policy)


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
