"""The relay on its thread, with its metrics."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from thumbwheel.app.background import in_background
from thumbwheel.bus.port import TOPICS, EventLog
from thumbwheel.bus.relay import Relay, Shipment
from thumbwheel.bus.source import Source, waiting
from thumbwheel.errors import ThumbwheelError, Unavailable
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import OutboxMetrics

_AFTER_DEFECT_S = 1.0
_SHIP_S = 5.0
_LOOK_S = 0.05

logger = get_logger(__name__)


@contextmanager
def relaying(outbox: EventLog, downstream: EventLog, metrics: OutboxMetrics) -> Iterator[Relay]:
    """Ship the outbox while the block runs; what is left in it at its end waits for the next start."""

    def shipped(shipment: Shipment) -> None:
        metrics.shipped.inc(shipment.records, topic=shipment.topic)
        look()

    def got_over(error: ThumbwheelError) -> None:
        logger.warning("the outbox can not be shipped", problem=str(error))
        metrics.failures.inc()
        look()

    def look() -> None:
        try:
            look_at_outbox(outbox, metrics)
        except Unavailable as error:
            logger.warning("metrics of the outbox are out of date", problem=str(error))

    relay = Relay(outbox, downstream, shipped, got_over)

    def work(stop: threading.Event) -> None:
        look()
        while not stop.is_set():
            try:
                relay.run(stop)
            except Exception:
                # A defect. Nothing is lost: only what was acknowledged has left the outbox.
                logger.exception("the relay failed and goes on")
                metrics.failures.inc()
                stop.wait(_AFTER_DEFECT_S)

    with in_background("relay", work):
        yield relay


def look_at_outbox(outbox: EventLog, metrics: OutboxMetrics) -> None:
    """Set what waits in the outbox now. Raises Unavailable."""
    now_us = time.time_ns() // 1_000
    for topic in TOPICS:
        held = waiting(outbox, topic)
        age_us = 0 if held.oldest_us is None else max(0, now_us - held.oldest_us)
        metrics.records.set(held.records, topic=topic)
        metrics.age.set(age_us / 1e6, topic=topic)
    metrics.fullness.set(outbox.fullness())


async def ship_the_rest(source: Source) -> None:
    """Give the relay a moment at the end of a process: its home may not outlive it."""
    deadline = time.monotonic() + _SHIP_S
    while left := await asyncio.to_thread(source.unshipped):
        if time.monotonic() >= deadline:
            logger.warning("left in the outbox, for the next process on this home", records=left)
            return
        await asyncio.sleep(_LOOK_S)
