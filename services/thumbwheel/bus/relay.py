"""The relay: ships an outbox, the log on this machine's disk, to the log behind it.

It reads the oldest records, appends them downstream, and only after the acknowledgement trims them from the outbox. A
kill between the two ships them again, with the same ids in them: nothing is lost, and the store takes each once. The
outbox is bounded by its own `max_bytes`; while downstream is away it fills, then refuses.

What was acknowledged and could not be trimmed, as on a full disk, is remembered: trimmed later, and not sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from thumbwheel.bus.port import TOPICS, EventLog, NewRecord, StoredRecord
from thumbwheel.bus.source import Place, Waiting, waiting
from thumbwheel.errors import InvalidInput, ThumbwheelError, Unavailable

_IDLE_S = 1.0
_SCRUB_S = 60.0
_LEAST_BACKOFF_S = 0.5
_MOST_BACKOFF_S = 8.0
_MOST_RECORDS = 500
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Shipment:
    """Records of one topic that downstream has acknowledged. `seconds` is from the read to the trim."""

    topic: str
    records: int
    seconds: float


def _no_shipment(_shipment: Shipment) -> None: ...


def _no_trouble(_error: ThumbwheelError) -> None: ...


class Relay:
    """Ships each partition of the outbox in order.

    `on_ship` hears of every shipment, `on_trouble` of every error that `run` waits out. One thread at a time may call
    `run_once` or `run`; nothing else may trim the outbox.
    """

    def __init__(
        self,
        outbox: EventLog,
        downstream: EventLog,
        on_ship: Callable[[Shipment], None] = _no_shipment,
        on_trouble: Callable[[ThumbwheelError], None] = _no_trouble,
    ) -> None:
        """Ship from `outbox` to `downstream`; neither is closed by the relay."""
        self._outbox = outbox
        self._downstream = downstream
        self._on_ship = on_ship
        self._on_trouble = on_trouble
        self._limit = _MOST_RECORDS
        self._acknowledged: dict[Place, int] = {}  # offsets that the outbox has yet to be trimmed up to
        self._left_copies = True  # of a process before this one, too
        self._scrub_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, finishing the shipment in hand. Waits out whatever is away, for ever.

        A record that downstream refuses for good (`InvalidInput`) is kept and tried again too: dropping it would lose
        what was acknowledged. Its age shows in `waiting`; the refusal, told to `on_trouble`, names the limit to raise.
        """
        backoff_s = 0.0
        while not stop.is_set():
            try:
                shipped = self.run_once()
                if not shipped:
                    self._scrub()
            except (Unavailable, InvalidInput) as error:
                self._on_trouble(error)
                backoff_s = min(_MOST_BACKOFF_S, max(2 * backoff_s, _hint_s(error)))
                stop.wait(backoff_s)
                continue
            backoff_s = 0.0
            if not shipped:
                self._outbox.wait(_IDLE_S)

    def run_once(self) -> int:
        """Ship one batch of every partition at most; return how many records were shipped.

        Raises:
            Unavailable: the outbox or downstream is away, or nothing could be shipped and what was shipped before not
                be trimmed; what was not acknowledged is still in the outbox.
            InvalidInput: downstream refuses a record; it is still in the outbox, and so is what its partition holds
                after it. Other partitions were shipped.
        """
        shipped = 0
        refusal: InvalidInput | None = None
        untrimmed: Unavailable | None = None
        for topic in TOPICS:
            for partition in self._outbox.partitions(topic):
                started, count = time.monotonic(), 0
                try:
                    count = self._ship(topic, partition)
                except InvalidInput as error:
                    refusal = error
                untrimmed = self._trim(topic, partition) or untrimmed
                if count:
                    self._on_ship(Shipment(topic, count, time.monotonic() - started))
                    shipped += count
        if refusal is not None:
            raise refusal
        if untrimmed is not None and not shipped:
            raise untrimmed
        return shipped

    def _scrub(self) -> None:
        """Let no copy of what was shipped stay in the outbox's files: nobody erases users there any more."""
        if self._left_copies and time.monotonic() >= self._scrub_at:
            self._scrub_at = time.monotonic() + _SCRUB_S
            self._outbox.erase([])
            self._left_copies = False

    def waiting(self) -> Mapping[str, Waiting]:
        """Return what is still to be shipped, by topic. Safe from any thread. Raises Unavailable."""
        return {topic: waiting(self._outbox, topic) for topic in TOPICS}

    def _ship(self, topic: str, partition: int) -> int:
        records = self._outbox.read(topic, partition, self._acknowledged.get((topic, partition), 0), self._limit)
        if not records:
            return 0
        self._downstream.append([NewRecord(topic, one.key, one.payload, one.headers) for one in records])
        self._acknowledged[topic, partition] = records[-1].offset + 1
        self._limit = _next_limit(records)
        return len(records)

    def _trim(self, topic: str, partition: int) -> Unavailable | None:
        """Trim a partition of the outbox up to what was acknowledged; return why that can not be done yet."""
        if (topic, partition) in self._acknowledged:
            try:
                self._outbox.trim(topic, partition, self._acknowledged[topic, partition])
            except Unavailable as error:
                return error
            del self._acknowledged[topic, partition]
            self._left_copies = True
        return None


def _next_limit(records: list[StoredRecord]) -> int:
    """Return how many records like the largest of these fit into `_BATCH_BYTES`."""
    largest = max(len(one.payload) for one in records)
    return max(1, min(_MOST_RECORDS, _BATCH_BYTES // max(1, largest)))


def _hint_s(error: ThumbwheelError) -> float:
    return max(_LEAST_BACKOFF_S, error.retry_after_s) if isinstance(error, Unavailable) else _LEAST_BACKOFF_S
