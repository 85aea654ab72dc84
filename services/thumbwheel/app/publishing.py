"""The publisher of dead letters on its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from thumbwheel.app.background import in_background
from thumbwheel.bus.source import Source
from thumbwheel.errors import Unavailable
from thumbwheel.ingest.dead_letter_topic import DeadLetterPublisher
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import IngestMetrics

_PERIOD_S = 2.0

logger = get_logger(__name__)


@contextmanager
def publishing_dead_letters(
    source: Source, store: FeedbackStore, metrics: IngestMetrics, chosen: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Publish dead letters while the block runs; what is left goes out at the next start.

    Of several processes that do so, only one should be `chosen` at a time: two at once publish some twice.
    """
    publisher = DeadLetterPublisher(store, source.log, source.consumer)

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                published = publisher.publish() if chosen() else 0
            except Unavailable:
                published = 0  # ingest, which reads from the same log into the same store, says so
            except Exception:
                # A defect. Nothing is lost: the table has them.
                logger.exception("dead letters could not be published")
                published = 0
            metrics.published.inc(published)
            if not published:
                stop.wait(_PERIOD_S)

    with in_background("dead-letters", work):
        yield
