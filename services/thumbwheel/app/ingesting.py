"""The ingest worker on its thread, with its metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from thumbwheel.app.background import in_background
from thumbwheel.bus.source import Place, Source
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Fenced, ThumbwheelError
from thumbwheel.ingest.worker import IngestWorker, Step
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import IngestMetrics

_AFTER_DEFECT_S = 1.0
_DEFECT = "stands still by a defect, and tries again; what it was is logged: ingest failed and goes on"
_ENDED = "has ended, and nothing comes into the store any more; restart the process"

logger = get_logger(__name__)


@contextmanager
def ingesting(
    source: Source,
    store: FeedbackStore,
    settings: Ingest,
    metrics: IngestMetrics,
    assigned: Callable[[], Iterable[Place]] | None = None,
) -> Iterator[IngestWorker]:
    """Move the log into the store while the block runs; what is left in the log at its end waits for the next start.

    `assigned` tells which partitions are this process's; without it all are.
    """

    paused = threading.Event()

    def step_done(step: Step) -> None:
        paused.clear()
        metrics.rows.inc(step.records - step.dead_letters, kind=step.topic.rpartition(".")[2])
        metrics.batch_duration.observe(step.seconds)
        if step.dropped:
            metrics.dropped.inc(step.dropped, topic=step.topic)
            logger.error(
                "the log dropped records before they were read, and they are lost; raise the topic's retention.ms",
                topic=step.topic,
                partition=step.partition,
                records=step.dropped,
            )

    def got_over(error: ThumbwheelError) -> None:
        if isinstance(error, Fenced):
            metrics.failures.inc(reason="fenced")
            return
        metrics.failures.inc(reason="unavailable")
        if not paused.is_set():  # a log or a store that stays away is told once
            logger.warning("ingest pauses, and goes on by itself", problem=str(error))
        paused.set()

    worker = IngestWorker(source, store, settings, step_done, got_over, assigned)

    def work(stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    worker.run(stop)
                except Exception:
                    # A defect. Nothing is lost: the transaction was rolled back, and the log keeps what was not moved.
                    logger.exception("ingest failed and goes on")
                    metrics.failures.inc(reason="defect")
                    worker.broke_off(_DEFECT)
                    stop.wait(_AFTER_DEFECT_S)
        finally:
            if not stop.is_set():  # what no loop can go on after
                worker.broke_off(_ENDED)

    with in_background("ingest", work):
        yield worker
