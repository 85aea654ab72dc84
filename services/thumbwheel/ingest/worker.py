"""The ingest worker: one thread that moves the log into the store.

Its offsets are in the store, moved in the transaction that writes the rows: a kill at any moment loses nothing and
repeats nothing. Records that are stored leave the log when it is half full.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

from thumbwheel.bus.port import StoredRecord
from thumbwheel.bus.source import Place, Source, places
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Fenced, ThumbwheelError, Unavailable
from thumbwheel.ingest.backlog import backlog, unread
from thumbwheel.ingest.steps import batch_of
from thumbwheel.store.port import Batch, FeedbackStore

_IDLE_S = 1.0  # longest sleep: orphans expire and other processes' appends are seen without a nudge
_HOUSEKEEPING_S = 30.0
_TRIM_ABOVE = 0.5
_ASIDE_S = 1.0
_LONGEST_ASIDE_S = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction moved, for metrics. `seconds` is from the read to the commit.

    `dropped` records before these the log no longer had: its retention ended before they were read.
    """

    topic: str
    partition: int
    records: int
    dead_letters: int
    seconds: float
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A batch to write, of how many records after how many dropped ones, and when its reading began."""

    batch: Batch
    records: int
    started: float
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Aside:
    """A partition that met a defect: it waits for `wait_s` seconds, until `until_s` of the monotonic clock."""

    problem: str
    wait_s: float
    until_s: float


def _no_step(_step: Step) -> None: ...


def _no_trouble(_error: ThumbwheelError) -> None: ...


class IngestWorker:
    """Reads requests before feedback, so that few votes have to wait for their answer.

    `on_step` hears of every transaction, `on_trouble` of every `Fenced` and `Unavailable` that `run` got over.
    `assigned` is asked before every round which partitions are this worker's; without it all are. `clock` returns
    microseconds since the epoch. One thread at a time may call `run_once` or `run`.
    """

    def __init__(
        self,
        source: Source,
        store: FeedbackStore,
        settings: Ingest,
        on_step: Callable[[Step], None] = _no_step,
        on_trouble: Callable[[ThumbwheelError], None] = _no_trouble,
        assigned: Callable[[], Iterable[Place]] | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        """Work from `source` into `store`; neither is closed by the worker."""
        self._source = source
        self._log = source.log
        self._store = store
        self._settings = settings
        self._on_step = on_step
        self._on_trouble = on_trouble
        self._assigned = assigned or (lambda: places(self._log))
        self._clock = clock
        self._offsets: dict[Place, tuple[str, int]] = {}  # with the topic's identity
        self._problem = ""
        self._aside: dict[Place, _Aside] = {}
        self._away: Place | None = None

    @property
    def problem(self) -> str:
        """Why the last round of `run` came to nothing, or what stands still; else empty. Safe from any thread."""
        return self._problem or "; ".join(one.problem for one in tuple(self._aside.values()))

    def broke_off(self, problem: str) -> None:
        """Note why `run` ended by a defect: its `problem`, until a round goes well."""
        self._problem = problem

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, finishing the transaction in hand. Waits out a store or a log that is away."""
        next_housekeeping = 0.0
        while not stop.is_set():
            try:
                moved = self.run_once()
                if time.monotonic() >= next_housekeeping:
                    self.housekeep()
                    next_housekeeping = time.monotonic() + _HOUSEKEEPING_S
            except Unavailable as error:
                self._problem = str(error)
                self._on_trouble(error)
                stop.wait(error.retry_after_s)
                continue
            self._problem = ""
            if not moved:
                self._log.wait(_IDLE_S)

    def run_once(self) -> int:
        """Move one batch of every partition of its own at most; return how many records were moved.

        A partition that fails by a defect (anything but Unavailable) stands aside for a second, then for twice as long
        each time; the others go on.

        Raises:
            Unavailable: the log or the store is away; nothing was lost, call again.
            Exception: the defect that one partition met, when all others have had their turn. Nothing was lost.
        """
        ours = list(self._assigned())
        # Where another worker has been meanwhile the store's offset counts.
        self._offsets = {place: known for place, known in self._offsets.items() if place in ours}
        moved, defects, turn = 0, list[Exception](), self._turn(ours)
        # While one batch is written the next is read: the log, the decoding and the database wait less for each other.
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as ahead:
            reading = [ahead.submit(self._read, *place) for place in turn[:1]]
            for place, following in zip_longest(turn, turn[1:]):
                read = reading.pop()
                if not isinstance(read.exception(), Unavailable) and following is not None:
                    reading.append(ahead.submit(self._read, *following))
                try:
                    moved += self._write(read.result())
                    self._went_well(place)
                except Unavailable:
                    self._away = place
                    raise
                except Exception as defect:  # noqa: BLE001 - raised below, when the others have had their turn
                    self._stand_aside(place, defect)
                    defects.append(defect)
        if defects:
            raise defects[0]
        return moved

    def drain(self) -> int:
        """Move records until the log has no more; return how many this worker moved. Raises Unavailable."""
        total = 0
        while (moved := self.run_once()) or unread(self._source, self._store):
            total += moved
        return total

    def backlog(self) -> int:
        """Return how many acknowledged records are not in the store yet. Safe from any thread. Raises Unavailable."""
        return backlog(self._source, self._store)

    def housekeep(self) -> int:
        """Give up on votes that waited too long, make room in a log that fills up; return how many were given up.

        Votes are given up only when nothing is left to read: their answer may be in what is left.
        """
        self._trim()
        return self.expire_orphans()

    def expire_orphans(self) -> int:
        """Give up on votes that waited too long, if nothing is left to read; return how many. Raises Unavailable."""
        if self.backlog():
            return 0
        return self._store.expire_orphans(self._clock() - int(self._settings.orphan_max_age_s * 1_000_000))

    def _read(self, topic: str, partition: int) -> _Read | None:
        """Read and decode the next batch of a partition; None when there is nothing new. Raises Unavailable."""
        started = time.monotonic()
        consumer, log_id = self._source.consumer, self._log.identity(topic)
        offset, end = self._offset(topic, partition, log_id), self._log.end_offset(topic, partition)
        if end == offset:
            return None
        if end < offset:  # another log than was read before: reading it all adds nothing twice, skipping would lose
            return _Read(Batch(consumer, topic, partition, offset, 0, log_id=log_id), 0, started)
        records = self._log.read(topic, partition, offset, self._settings.batch)
        if records:
            batch = batch_of(consumer, offset, records, log_id)
        else:  # nothing to read before `end`: all of it was erased
            batch = Batch(consumer, topic, partition, offset, end, log_id=log_id)
        return _Read(batch, len(records), started, self._dropped(topic, partition, offset, records))

    def _turn(self, ours: Sequence[Place]) -> list[Place]:
        """Return those of our partitions that do not stand aside; the one that was away last comes last."""
        now_s = time.monotonic()
        self._aside = {place: one for place, one in self._aside.items() if place in ours}
        turn = [place for place in ours if place not in self._aside or self._aside[place].until_s <= now_s]
        return sorted(turn, key=lambda place: place == self._away)

    def _went_well(self, place: Place) -> None:
        self._aside.pop(place, None)
        if self._away == place:
            self._away = None

    def _stand_aside(self, place: Place, defect: Exception) -> None:
        """Let a partition wait for its next turn: what it met is met there again, and its neighbours meet nothing."""
        before = self._aside.get(place)
        wait_s = min(_LONGEST_ASIDE_S, 2 * before.wait_s) if before else _ASIDE_S
        _, offset = self._offsets.get(place, ("", None))
        where = f"{place[0]} partition {place[1]}" + (f" at offset {offset}" if offset is not None else "")
        problem = (
            f"{where} stands still by a defect ({type(defect).__name__}) and is tried again; what it was is logged"
        )
        self._aside[place] = _Aside(problem, wait_s, time.monotonic() + wait_s)

    def _dropped(self, topic: str, partition: int, offset: int, records: Sequence[StoredRecord]) -> int:
        """Return how many records from `offset` on the log has dropped by itself. A gap may be erased records, too."""
        if records and records[0].offset == offset:
            return 0
        return max(0, self._log.begin_offset(topic, partition) - offset)

    def _write(self, read: _Read | None) -> int:
        """Write a batch that was read; return how many records it had, 0 if another worker was there before."""
        if read is None or not self._apply(read.batch):
            return 0
        if read.records or read.dropped:
            batch, seconds = read.batch, time.monotonic() - read.started
            dead = len(batch.dead_letters)
            self._on_step(Step(batch.topic, batch.partition, read.records, dead, seconds, read.dropped))
        return read.records

    def _apply(self, batch: Batch) -> bool:
        """Write a batch; if another worker has been there, forget the offset, to be read again."""
        place = batch.topic, batch.partition
        try:
            self._store.apply(batch)
        except Fenced as error:
            del self._offsets[place]
            self._on_trouble(error)
            return False
        self._offsets[place] = batch.log_id, batch.next_offset
        return True

    def _offset(self, topic: str, partition: int, log_id: str) -> int:
        """Return where to go on reading; at 0 in another topic than was read before, made anew under its name."""
        known_id, offset = self._offsets.get((topic, partition), (None, 0))
        if known_id != log_id:
            offset = self._store.offset(self._source.consumer, topic, partition, log_id)
            self._offsets[topic, partition] = log_id, offset
        return offset

    def _trim(self) -> None:
        if self._log.fullness() > _TRIM_ABOVE:
            for topic, partition in places(self._log):
                self._log.trim(topic, partition, self._store.offset(self._source.consumer, topic, partition))
