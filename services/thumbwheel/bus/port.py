"""The port of the event log: append-only topics with partitions and offsets.

Every adapter passes `tests/contract/bus`. Calls block and are safe from any thread; async callers go through
`GroupCommitter`, which also turns many concurrent appends into one durable write.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

REQUESTS = "thumbwheel.requests"
FEEDBACK = "thumbwheel.feedback"
TOPICS = (REQUESTS, FEEDBACK)
DEAD_LETTERS = "thumbwheel.deadletters"
"""What ingest could not use, for other readers; only in logs that others read. Ingest does not."""
USER_KEYS = "thumbwheel.userkeys"
"""Keys of users, in logs that seal (`sealed_log.py`): of one partition, and of each key the last record is kept."""
FOREIGN_NAME = "thumbwheel-foreign-name"
"""A header that a log adds to a record, which others wrote, one of whose headers has a name that is no text."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to append. Records with the same `key` share a partition, in order."""

    topic: str
    key: str
    payload: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


class StoredRecord(NamedTuple):
    """A record as read back. Offsets start at 0 and grow; there may be gaps. Some logs know `time_us` to 1 ms only."""

    topic: str
    partition: int
    offset: int
    key: str
    payload: bytes
    headers: Mapping[str, bytes]
    time_us: int


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key, the same in every log, so that records can move between logs: CRC-32 modulo."""
    return zlib.crc32(key.encode()) % partitions


class RecordAppender(Protocol):
    """Appends to an event log from an event loop: what the doors need of it."""

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return when all of `records` are durable.

        Raises:
            InvalidInput: one of these records is larger than the log takes; nothing was appended.
            LogUnavailable, Overloaded: nothing was promised.
        """


class DurableAppender(Protocol):
    """Appends where blocking is allowed: what `GroupCommitter` needs of a log."""

    def append(self, records: Sequence[NewRecord]) -> None:
        """Return when all of `records` are durable. Raises InvalidInput, LogUnavailable, as an event log does."""


class EventLog(Protocol):
    """Append-only, durable, ordered within a partition."""

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append all of `records`. Returns only when all are durable.

        Raises:
            InvalidInput: a topic is unknown, or a record is larger than the log takes; nothing was appended.
            LogUnavailable: nothing was acknowledged (disk full, read-only, bound reached, broker away); carries a
                retry hint. A log on one disk has appended nothing. One across a network may have appended any of
                the records, or may do so a little later: whoever tries again may append them twice, so readers
                know records by the ids in them, and take each once.
        """

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """Read at most `limit` records of a partition from `offset` on, in order; empty at the end."""

    def partitions(self, topic: str) -> Sequence[int]:
        """Return the partitions of a topic."""

    def identity(self, topic: str, anew: bool = False) -> str:
        """Return what tells a topic from another of its name, made anew or elsewhere, where its offsets mean nothing.

        Empty where that can not be told, and for a topic that there is not. It may be half a minute old; `anew` asks.
        """

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next appended record will have, at least."""

    def begin_offset(self, topic: str, partition: int) -> int:
        """Return the offset below which the log by itself has dropped records, whoever may still have wanted them.

        0 for a log that drops nothing by itself: what is trimmed or erased somebody has asked for.
        """

    def wait(self, timeout_s: float) -> None:
        """Return when something may have been appended since the last call, or after `timeout_s` seconds."""

    def erase(self, keys: Sequence[str], before_us: int | None = None) -> int:
        """Remove the payloads of records with these keys for good, and return how many there were.

        Raises:
            Conflict: this log can not remove single records.
        """

    def trim(self, topic: str, partition: int, before: int) -> int:
        """Forget the records of a partition below offset `before`, which are stored elsewhere; return how many.

        A log whose retention is set elsewhere keeps them and returns 0.
        """

    def fullness(self) -> float:
        """Return the share of its bound that the log fills, in [0, 1]; 0 where it has no bound of its own."""

    def close(self) -> None:
        """Release files and threads; appends in flight finish first."""
