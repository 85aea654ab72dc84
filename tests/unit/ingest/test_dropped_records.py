"""What a log drops by itself before it was read is told, by number; what was erased is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from answered import answer_and_vote

from thumbwheel.app.ingesting import ingesting
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import REQUESTS, EventLog, StoredRecord
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.ingest.worker import IngestWorker, Step
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics


class Dropping:
    """A log whose retention has dropped what lies below an offset of the answers."""

    def __init__(self, below: EventLog) -> None:
        self._below = below
        self.begin = 0

    def begin_offset(self, topic: str, _partition: int) -> int:
        return self.begin if topic == REQUESTS else 0

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        return self._below.read(topic, partition, max(offset, self.begin_offset(topic, partition)), limit)

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Dropping]:
    with closing(open_log(tmp_path / "log.sqlite")) as below:
        below.append([to_log(answer_and_vote(number)[0]) for number in range(30)])
        yield Dropping(below)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedbackStore]:
    with closing(open_store(f"sqlite:///{tmp_path}/store.sqlite")) as opened:
        yield opened


def steps_of(log: Dropping, store: FeedbackStore) -> list[tuple[int, int]]:
    steps: list[Step] = []
    IngestWorker(Source(cast(EventLog, log)), store, Ingest(batch=10), steps.append).drain()
    return [(one.records, one.dropped) for one in steps if one.topic == REQUESTS]


def test_dropped_records_are_counted_once_each(log: Dropping, store: FeedbackStore) -> None:
    log.begin = 7
    assert steps_of(log, store) == [(10, 7), (10, 0), (3, 0)]
    assert steps_of(log, store) == []


def test_all_that_was_left_is_dropped(log: Dropping, store: FeedbackStore) -> None:
    log.begin = 30
    assert steps_of(log, store) == [(0, 30)]


def test_erased_records_are_not_dropped(log: Dropping, store: FeedbackStore) -> None:
    log.begin = 2
    cast(EventLog, log).erase([f"r{number}" for number in range(5)])
    assert steps_of(log, store) == [(10, 2), (10, 0), (5, 0)]


def test_the_metric_and_the_log_tell_it(
    log: Dropping, store: FeedbackStore, capsys: pytest.CaptureFixture[str]
) -> None:
    log.begin, metrics = 7, Metrics()
    with ingesting(Source(cast(EventLog, log)), store, Ingest(), metrics.ingest) as worker:
        while store.offset("ingest", REQUESTS, 0) < 30:
            cast(EventLog, log).wait(0.05)
    value = metrics.registry.get_sample_value("thumbwheel_ingest_dropped_records_total", {"topic": REQUESTS})
    assert (value, worker.problem) == (7, "")
    assert "dropped records before they were read" in capsys.readouterr().out
