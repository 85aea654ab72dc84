"""Workers that share partitions: each moves its own, and what both believe to be theirs is moved once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from answered import answer_and_vote

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog
from thumbwheel.bus.source import Place, Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Fenced, LogUnavailable, ThumbwheelError
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store


@dataclass
class Sharing:
    """A worker whose partitions are dealt out by the test."""

    log: EventLog
    store: FeedbackStore
    places: list[Place] = field(default_factory=list)
    trouble: list[ThumbwheelError] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = Source(self.log)
        self.worker = IngestWorker(source, self.store, Ingest(batch=10), lambda _: None, self.trouble.append, self.deal)

    def deal(self) -> list[Place]:
        return self.places


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Sharing, Sharing]]:
    log, store = open_log(tmp_path / "log.sqlite"), open_store(f"sqlite:///{tmp_path}/store.sqlite")
    log.append([to_log(record) for number in range(40) for record in answer_and_vote(number)])
    yield Sharing(log, store), Sharing(log, store)
    store.close()
    log.close()


def test_each_moves_only_what_is_its_own(workers: tuple[Sharing, Sharing]) -> None:
    one, other = workers
    one.places, other.places = [(REQUESTS, 0)], [(FEEDBACK, 0)]
    assert (one.worker.run_once(), other.worker.run_once()) == (10, 10)
    assert (one.store.count_orphans(), one.worker.backlog()) == (0, 60)
    one.places = []
    assert one.worker.run_once() == 0


def test_a_partition_that_comes_back_goes_on_where_the_other_one_ended(workers: tuple[Sharing, Sharing]) -> None:
    one, other = workers
    one.places = [(REQUESTS, 0)]
    assert one.worker.run_once() == 10
    one.places, other.places = [], [(REQUESTS, 0)]
    assert (one.worker.run_once(), other.worker.run_once()) == (0, 10)
    one.places, other.places = [(REQUESTS, 0)], []
    assert one.worker.run_once() == 10
    assert one.trouble == []
    assert one.worker.backlog() == 10 + 40


def test_of_two_that_believe_it_theirs_one_is_refused_and_nothing_is_doubled(workers: tuple[Sharing, Sharing]) -> None:
    one, zombie = workers
    one.places = zombie.places = [(REQUESTS, 0), (FEEDBACK, 0)]
    assert zombie.worker.run_once() == 20
    assert one.worker.run_once() == 20
    assert zombie.worker.run_once() == 0
    assert [type(error) for error in zombie.trouble] == [Fenced, Fenced]
    assert zombie.worker.run_once() == 20
    assert one.worker.drain() == 20
    assert one.store.watermark() == 40


def test_a_partition_that_meets_a_defect_stands_aside_and_its_neighbours_go_on(
    workers: tuple[Sharing, Sharing], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    clock = SimpleNamespace(monotonic=lambda: now_s, time_ns=time.time_ns)
    monkeypatch.setattr("thumbwheel.ingest.worker.time", clock)
    one, _ = workers
    one.places = [(REQUESTS, 0), (FEEDBACK, 0)]
    read = type(one.log).read
    broken = True

    def failing(log: EventLog, topic: str, *rest: int) -> object:
        if topic == REQUESTS and broken:
            raise ZeroDivisionError
        return read(log, topic, *rest)

    monkeypatch.setattr(type(one.log), "read", failing)
    with pytest.raises(ZeroDivisionError):
        one.worker.run_once()
    assert one.store.count_orphans() == 10  # votes of the partition behind it
    assert [one.worker.run_once() for _ in range(4)] == [10, 10, 10, 0]
    stands = "thumbwheel.requests partition 0 at offset 0 stands still by a defect (ZeroDivisionError)"
    assert stands in one.worker.problem
    now_s = 101.0
    with pytest.raises(ZeroDivisionError):
        one.worker.run_once()
    broken = False
    now_s = 102.9
    assert one.worker.run_once() == 0  # two seconds have not passed
    now_s = 103.0
    assert [one.worker.run_once() for _ in range(5)] == [10, 10, 10, 10, 0]
    assert (one.worker.problem, one.store.count_orphans(), one.worker.backlog()) == ("", 0, 0)


def test_a_partition_that_is_away_comes_last_the_next_time(
    workers: tuple[Sharing, Sharing], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = workers
    one.places = [(REQUESTS, 0), (FEEDBACK, 0)]
    read = type(one.log).read

    def failing(log: EventLog, topic: str, *rest: int) -> object:
        if topic == REQUESTS:
            raise LogUnavailable("no leader", 1.0)
        return read(log, topic, *rest)

    monkeypatch.setattr(type(one.log), "read", failing)
    for orphans in (0, 10, 20):
        with pytest.raises(LogUnavailable):
            one.worker.run_once()
        assert one.store.count_orphans() == orphans
