"""The relay's thread and what its metrics tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from thumbwheel.app.relaying import relaying
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog, NewRecord
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.errors import LogUnavailable
from thumbwheel.telemetry.metrics import Metrics


class Downstream:
    """Fails the first append, has a defect in the second, takes what comes after."""

    def __init__(self) -> None:
        self.tries = 0
        self.away = threading.Event()
        self.taken = threading.Event()

    def append(self, records: Sequence[NewRecord]) -> None:
        self.tries += 1
        if self.tries == 1:
            raise LogUnavailable("away", 0.01)
        assert self.away.wait(60)
        if self.tries == 2:
            raise ZeroDivisionError("a defect")
        self.taken.set()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[EventLog]:
    opened = open_log(tmp_path / "outbox.sqlite", max_bytes=1 << 20)
    yield opened
    opened.close()


def test_metrics_tell_what_waits_what_failed_and_what_was_shipped(outbox: EventLog) -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    downstream = Downstream()
    with relaying(outbox, cast(EventLog, downstream), metrics.outbox):
        while value("thumbwheel_outbox_records", {"topic": REQUESTS}) is None:
            threading.Event().wait(0.01)
        outbox.append([NewRecord(REQUESTS, "k", bytes(1_000)) for _ in range(100)])
        while downstream.tries < 2:  # by now the first failure has been told
            threading.Event().wait(0.01)
        assert value("thumbwheel_outbox_records", {"topic": REQUESTS}) == 100
        assert value("thumbwheel_outbox_records", {"topic": FEEDBACK}) == 0
        assert (value("thumbwheel_outbox_age_seconds", {"topic": REQUESTS}) or 0) > 0
        assert value("thumbwheel_outbox_age_seconds", {"topic": FEEDBACK}) == 0
        assert 0.05 < (value("thumbwheel_outbox_fullness") or 0) < 1
        downstream.away.set()
        assert downstream.taken.wait(60)
    assert value("thumbwheel_outbox_failures_total") == 2
    assert value("thumbwheel_outbox_shipped_total", {"topic": REQUESTS}) == 100
    assert value("thumbwheel_outbox_records", {"topic": REQUESTS}) == 0
    assert value("thumbwheel_outbox_age_seconds", {"topic": REQUESTS}) == 0
