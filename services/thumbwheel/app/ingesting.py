"""The ingest worker on its thread, with its metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from thumbwheel.bus.port import EventLog
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Fenced, ThumbwheelError
from thumbwheel.ingest.worker import IngestWorker, Step
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.metrics import IngestMetrics


@contextmanager
def ingesting(log: EventLog, store: FeedbackStore, settings: Ingest, metrics: IngestMetrics) -> Iterator[IngestWorker]:
    """Move the log into the store while the block runs; on leaving, what the log holds is moved first."""

    def step_done(step: Step) -> None:
        metrics.rows.inc(step.records - step.dead_letters, kind=step.topic.rpartition(".")[2])
        metrics.batch_duration.observe(step.seconds)

    def got_over(error: ThumbwheelError) -> None:
        metrics.failures.inc(reason="fenced" if isinstance(error, Fenced) else "unavailable")

    worker = IngestWorker(log, store, settings, step_done, got_over)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,), name="ingest", daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join()
