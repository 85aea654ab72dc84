"""The ingest worker: poison, fences, absences, orphans, lag, and a log that fills up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from thumbwheel.bus.codec import SCHEMA, SCHEMA_HEADER, to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog, NewRecord
from thumbwheel.bus.source import CONSUMER, Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Fenced, LogUnavailable, ThumbwheelError, Unavailable
from thumbwheel.ingest.worker import IngestWorker, Step
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.port import Batch, FeedbackStore
from thumbwheel.store.sql import open_store

DAY_US = 86_400_000_000


@dataclass
class World:
    """A log, a store, and a worker between them that hears what it reports."""

    log: EventLog
    store: FeedbackStore
    worker: IngestWorker
    steps: list[Step]
    troubles: list[ThumbwheelError]
    now_us: list[int]

    def append(self, *records: LoggedResponse | Feedback) -> None:
        self.log.append([to_log(record) for record in records])

    def second_worker(self) -> IngestWorker:
        return IngestWorker(Source(self.log), self.store, Ingest())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    log = open_log(tmp_path / "log.sqlite", max_bytes=4 << 20, partitions=2)
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    steps: list[Step] = []
    troubles: list[ThumbwheelError] = []
    now_us = [DAY_US * 10]
    settings = Ingest(batch=7, orphan_max_age_s=86_400)
    worker = IngestWorker(Source(log), store, settings, steps.append, troubles.append, clock=lambda: now_us[0])
    yield World(log, store, worker, steps, troubles, now_us)
    store.close()
    log.close()


def answer(response_id: str, text: str = "text") -> LoggedResponse:
    served = ClassifyAnswer(text, 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(response_id, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", 1, "", served)


def vote(feedback_id: str, response_id: str, time_us: int = 1) -> Feedback:
    return Feedback(feedback_id, response_id, "u", "", "p", "v", FeedbackKind.THUMB, time_us, thumb_up=True)


def names(count: int) -> list[str]:
    return [f"r{number:03}" for number in range(count)]


def test_everything_in_the_log_comes_to_the_store(world: World) -> None:
    world.append(*(vote(f"f-{name}", name) for name in names(50)), *(answer(name) for name in names(50)))
    assert world.worker.backlog() == 100
    assert world.worker.drain() == 100
    assert (world.worker.backlog(), world.worker.run_once()) == (0, 0)
    assert world.store.watermark() == 50
    assert world.store.count_orphans() == 0
    assert sum(step.records for step in world.steps) == 100
    assert max(step.records for step in world.steps) == 7


def test_one_step_moves_at_most_a_batch_of_each_partition(world: World) -> None:
    world.append(*(answer(name) for name in names(50)))
    assert world.worker.run_once() == 14
    assert world.worker.backlog() == 36


def test_a_new_worker_goes_on_where_the_last_one_stood(world: World) -> None:
    world.append(*(answer(name) for name in names(30)))
    moved = world.worker.run_once()
    assert world.second_worker().drain() == 30 - moved


def test_poison_costs_one_dead_letter_and_not_its_neighbours(world: World) -> None:
    poison = NewRecord(FEEDBACK, "r001", b"\xff\xff garbage", {SCHEMA_HEADER: SCHEMA})
    foreign = NewRecord(FEEDBACK, "r001", b"{}", {})
    world.append(answer("r001"))
    good = [to_log(vote(f"f{number}", "r001", number)) for number in range(6)]
    world.log.append([*good[:3], poison, foreign, *good[3:]])
    world.worker.drain()
    assert world.store.watermark() == 6
    letters = world.store.dead_letters(10)
    assert [(letter.payload, letter.offset) for letter in letters] == [(b"{}", 4), (b"\xff\xff garbage", 3)]
    assert [letter.topic for letter in letters] == [FEEDBACK, FEEDBACK]
    assert "not an encoded" in letters[1].reason
    assert sum(step.dead_letters for step in world.steps) == 2


def test_dead_letters_of_the_store_have_their_place_too(world: World) -> None:
    world.append(answer("r001"), vote("f1", "r001"), vote("f2", "r001"))
    world.log.append([NewRecord(FEEDBACK, "r001", to_log(vote("f1", "r001")).payload, {SCHEMA_HEADER: SCHEMA})])
    other = Feedback("f1", "r001", "u", "", "p", "v", FeedbackKind.THUMB, 9, thumb_up=False)
    world.append(other)
    world.worker.drain()
    (letter,) = world.store.dead_letters(10)
    assert (letter.offset, letter.payload) == (3, to_log(other).payload)


def test_a_fenced_worker_reads_its_place_again(world: World) -> None:
    world.append(*(answer(name) for name in names(10)))
    world.worker.run_once()
    world.append(*(answer(name) for name in names(40)))
    world.second_worker().drain()
    world.append(answer("last"))
    assert world.worker.drain() == 1
    assert {type(error) for error in world.troubles} == {Fenced}
    assert world.store.response("last") is not None
    assert world.worker.backlog() == 0


class AwayFor:
    """A store that is away for the first calls of `apply`."""

    def __init__(self, apply: Callable[[Batch], None], calls: int) -> None:
        self._apply = apply
        self._calls = calls

    def apply(self, batch: Batch) -> None:
        if self._calls:
            self._calls -= 1
            raise Unavailable("away", 0.001)
        self._apply(batch)


def test_run_waits_out_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(world.store, "apply", AwayFor(world.store.apply, 3).apply)
    monkeypatch.setattr(world.worker, "_on_step", lambda _step: stop.set())
    world.append(answer("r001"))
    world.worker.run(stop)
    assert [str(error) for error in world.troubles] == ["away"] * 3
    assert world.store.response("r001") is not None


def test_run_ends_at_once_when_it_is_told_while_the_store_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()

    def away(_batch: Batch) -> None:
        stop.set()
        raise Unavailable("away", 3_600.0)

    monkeypatch.setattr(world.store, "apply", away)
    world.append(answer("r001"))
    world.worker.run(stop)
    assert world.worker.backlog() == 1


def test_run_wakes_for_what_is_appended(world: World) -> None:
    stop, moved = threading.Event(), threading.Event()
    worker = IngestWorker(Source(world.log), world.store, Ingest(), lambda _step: moved.set())
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    for name in names(3):
        moved.clear()
        world.append(answer(name))
        assert moved.wait(60)
    stop.set()
    world.append(answer("wake"))
    thread.join(60)
    assert not thread.is_alive()


def test_old_orphans_are_given_up_only_when_the_log_is_read(world: World) -> None:
    old_us = world.now_us[0] - DAY_US - 1
    world.append(vote("f1", "r001", old_us), vote("f2", "r002", old_us), vote("f3", "r003", world.now_us[0]))
    world.worker.drain()
    world.append(answer("r001"))
    assert world.worker.housekeep() == 0
    world.worker.drain()
    assert world.worker.housekeep() == 1
    assert world.store.count_orphans() == 1
    (letter,) = world.store.dead_letters(10)
    assert (letter.topic, letter.payload) == (FEEDBACK, to_log(vote("f2", "r002", old_us)).payload)
    assert world.store.watermark() == 1


def test_records_erased_before_they_were_read_are_passed_over(world: World) -> None:
    world.append(*(answer(name) for name in names(20)))
    world.log.erase(names(20))
    assert world.worker.backlog() == 20
    assert world.worker.drain() == 0
    assert world.worker.backlog() == 0
    world.append(answer("r001"))
    assert world.worker.drain() == 1


def test_a_log_that_was_replaced_is_read_from_its_start(world: World, tmp_path: Path) -> None:
    world.append(*(answer(name) for name in names(20)))
    world.worker.drain()
    new = open_log(tmp_path / "new.sqlite", partitions=2)
    new.append([to_log(answer("r000")), to_log(answer("new")), to_log(vote("f1", "new"))])
    worker = IngestWorker(Source(new), world.store, Ingest())
    assert worker.backlog() > 0
    worker.drain()
    assert worker.backlog() == 0
    new.close()
    assert world.store.watermark() == 1
    assert world.store.vote_counts("p")["v"].responses == 21


def test_what_is_stored_leaves_a_log_that_fills_up(world: World) -> None:
    acknowledged = 0
    with pytest.raises(LogUnavailable):
        for name in names(1_000):
            world.append(answer(name, "x" * 20_000))
            acknowledged += 1
    world.worker.run_once()
    world.worker.housekeep()
    left = sum(len(world.log.read(REQUESTS, number, 0, 9_999)) for number in world.log.partitions(REQUESTS))
    assert left == world.worker.backlog() == acknowledged - 14
    world.worker.drain()
    world.worker.housekeep()
    assert world.log.fullness() < 0.1
    world.append(answer("again", "x" * 20_000))
    world.worker.drain()
    assert sum(world.store.response(name) is not None for name in names(1_000)) == acknowledged
    assert world.store.offset(CONSUMER, REQUESTS, 0) + world.store.offset(CONSUMER, REQUESTS, 1) == acknowledged + 1


def test_a_log_with_room_keeps_its_records(world: World) -> None:
    world.append(answer("r001"))
    world.worker.drain()
    world.worker.housekeep()
    assert sum(len(world.log.read(REQUESTS, number, 0, 9)) for number in world.log.partitions(REQUESTS)) == 1
