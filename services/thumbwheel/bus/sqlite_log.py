"""The embedded event log: one SQLite file, every append on the disk before it returns.

A record's row id is `stream << 40 | offset`, where a stream is one partition of one topic: one b-tree holds all
streams in order, without another index, and offsets are dense until records are erased or trimmed. The size
bound is SQLite's own `max_page_count`; pages that trimming frees are used again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from thumbwheel.bus.ballast import Ballast
from thumbwheel.bus.port import TOPICS, EventLog, NewRecord, StoredRecord, partition_of
from thumbwheel.bus.record_size import demand_size
from thumbwheel.bus.sqlite_log_file import (
    DELETE_CHUNK,
    OFFSET_BITS,
    check_format,
    connect,
    headers_of,
    insert,
    prepare,
    remove,
    remove_tightly,
    streams_in,
    translated,
)
from thumbwheel.database.sqlite_scrub import scrub_file
from thumbwheel.errors import InvalidInput, LogUnavailable, SchemaMismatch

_LOOK_S = 0.2  # how often `wait` looks for what other processes appended


def open_log(
    path: Path,
    *,
    max_bytes: int = 2 << 30,
    partitions: int = 1,
    topics: Sequence[str] = TOPICS,
    max_record_bytes: int | None = None,
    ballast_bytes: int = 0,
    read_only: bool = False,
) -> EventLog:
    """Open the log in the file `path`, made if it is not there.

    Args:
        path: the file; `-wal` and `-shm` files lie beside it.
        max_bytes: size of the file at which appends are refused.
        partitions: partitions of a topic when it is first made; what the file has already stays.
        topics: the topics.
        max_record_bytes: size of the largest record that the log behind this one takes; larger ones are refused here,
            where their caller hears of it.
        ballast_bytes: room that is held beside the file, and let go for the removal of records on a full disk: several
            times the largest record, and more than the `-wal` file's 4 MB, which may have to be moved into the file.
        read_only: for a second process that only looks on; its appends are refused.

    Raises:
        LogUnavailable: the file can not be opened or written.
        SchemaMismatch: a newer thumbwheel wrote it.
    """
    return SqliteLog(
        path,
        max_bytes=max_bytes,
        partitions=partitions,
        topics=topics,
        max_record_bytes=max_record_bytes,
        ballast_bytes=ballast_bytes,
        read_only=read_only,
    )


def look_into(path: Path) -> SqliteLog:
    """Open another process's log for reading alone; to be closed. Raises LogUnavailable, SchemaMismatch."""
    return SqliteLog(
        path, max_bytes=1, partitions=1, topics=TOPICS, max_record_bytes=None, ballast_bytes=0, read_only=True
    )


class SqliteLog:
    """An `EventLog` in one SQLite file. One connection writes, another reads, each behind its lock."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        partitions: int,
        topics: Sequence[str],
        max_record_bytes: int | None,
        ballast_bytes: int,
        read_only: bool,
    ) -> None:
        """See `open_log`."""
        self._max_record_bytes = max_record_bytes
        self._max_bytes = max_bytes
        self._ballast = Ballast(path.with_name(f"{path.name}-ballast"), 0 if read_only else ballast_bytes)
        self._may_grow = True
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._appended = threading.Condition()
        self._appends = 0
        self._seen = threading.local()
        with translated():
            self._writer = connect(path, read_only)
            try:
                check_format(self._writer, path)
                if not read_only:
                    prepare(self._writer, max_bytes, partitions, topics)
                self._reader = connect(path, read_only)
                self._most_pages = int(self._writer.execute("PRAGMA max_page_count").fetchone()[0])
            except (sqlite3.Error, SchemaMismatch):
                self._writer.close()
                raise
            self._streams = streams_in(self._reader)
        self._partition_counts = Counter(topic for topic, _ in self._streams)

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append all of `records` or none. Returns only when they are durable. Raises LogUnavailable, InvalidInput."""
        if self._max_record_bytes is not None:
            for record in records:
                demand_size(record, self._max_record_bytes)
        placed = [(self._stream(record.topic, record.key), record) for record in records]
        if not placed:
            return
        with self._write_lock:
            self._bound()
            insert(self._writer, placed)
        with self._appended:
            self._appends += 1
            self._appended.notify_all()

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """Read at most `limit` records of a partition from `offset` on, in order; empty at the end."""
        first, end = self._range(topic, partition)
        rows = self._query(
            "SELECT id, time_us, key, headers, payload FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (first + offset, end, limit),
        )
        return [
            StoredRecord(topic, partition, row - first, key, payload, headers_of(headers), time_us)
            for row, time_us, key, headers, payload in rows
        ]

    def partitions(self, topic: str) -> Sequence[int]:
        """Return the partitions of a topic."""
        return sorted(partition for name, partition in self._streams if name == topic)

    def identity(self, topic: str, anew: bool = False) -> str:
        """Return nothing: a file is not told from another one."""
        return ""

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next appended record will have, at least."""
        stream = self._stream_id(topic, partition)
        return int(self._query("SELECT next_offset FROM streams WHERE id = ?", (stream,))[0][0])

    def begin_offset(self, topic: str, partition: int) -> int:
        """Return 0: nothing is dropped that was not trimmed or erased."""
        return 0

    def held(self, topic: str, keys: Collection[str], most: int) -> set[str]:
        """Return which of `keys` have a record in the first `most` records of a partition; all where more are there.

        So who asks looks through `most` records at most, and an answer "not held" is never wrong.
        """
        found: set[str] = set()
        for partition in self.partitions(topic):
            first, end = self._range(topic, partition)
            rows = self._query("SELECT key FROM records WHERE id >= ? AND id < ? LIMIT ?", (first, end, most + 1))
            if len(rows) > most:
                return set(keys)
            found.update(key for (key,) in rows if key in keys)
        return found

    def wait(self, timeout_s: float) -> None:
        """Return when something may have been appended since this thread's last call, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self._news():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            with self._appended:
                if self._appends == self._seen.appends:
                    self._appended.wait(min(left, _LOOK_S))

    def erase(self, keys: Sequence[str], before_us: int | None = None) -> int:
        """Remove records with these keys (of `before_us` and earlier) for good; return how many there were.

        Their offsets become gaps. No copy stays in the file or beside it.

        Raises:
            LogUnavailable: not all copies are gone; to be called again.
        """
        wanted = set(keys)
        limit_us = before_us if before_us is not None else 1 << 62
        found = [row for row, key, time_us in self._keys() if key in wanted and time_us <= limit_us]
        erased = self._delete(found)
        with self._write_lock, translated():
            clean = scrub_file(self._writer)
        if not clean:
            raise LogUnavailable("the event log is being read: erased records are still beside it; erase again", 1.0)
        return erased

    def trim(self, topic: str, partition: int, before: int) -> int:
        """Forget the records of a partition below offset `before`; return how many."""
        first, _ = self._range(topic, partition)
        trimmed = 0
        while True:
            rows = self._query(
                "SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                (first, first + before, DELETE_CHUNK),
            )
            trimmed += self._delete([row for (row,) in rows])
            if len(rows) < DELETE_CHUNK:
                return trimmed

    def fullness(self) -> float:
        """Return the share of `max_bytes` that is filled, in [0, 1]."""
        page_size, pages, free = (
            int(self._query(f"PRAGMA {name}", ())[0][0]) for name in ("page_size", "page_count", "freelist_count")
        )
        return min(1.0, (pages - free) * page_size / self._max_bytes)

    def close(self) -> None:
        """Close the file; an append in flight finishes first."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    # --- inside ---------------------------------------------------------------------------------

    def _bound(self) -> None:
        """Let the file grow to its bound only while the ballast is there. The write lock is held.

        Without it on a full disk the `-wal` file would take pages that have no place in the file, and could never be
        emptied into it. Pages that trimming frees are used again either way.
        """
        may_grow = self._ballast.make()
        if may_grow != self._may_grow:
            with translated():  # SQLite takes a bound below the present size for that size
                self._writer.execute(f"PRAGMA max_page_count = {self._most_pages if may_grow else 1}").close()
            self._may_grow = may_grow

    def _query(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._read_lock, translated():
            return self._reader.execute(sql, values).fetchall()

    def _stream(self, topic: str, key: str) -> int:
        return self._stream_id(topic, partition_of(key, max(self._partition_counts[topic], 1)))

    def _stream_id(self, topic: str, partition: int) -> int:
        try:
            return self._streams[topic, partition]
        except KeyError:
            names = ", ".join(sorted({name for name, _ in self._streams}))
            raise InvalidInput("topic", f"no partition {partition} of {topic!r}; there is {names}") from None

    def _range(self, topic: str, partition: int) -> tuple[int, int]:
        stream = self._stream_id(topic, partition)
        return stream << OFFSET_BITS, (stream + 1) << OFFSET_BITS

    def _keys(self) -> Iterator[tuple[int, str, int]]:
        last = 0
        while True:
            rows = self._query(
                "SELECT id, key, time_us FROM records WHERE id > ? ORDER BY id LIMIT ?", (last, DELETE_CHUNK)
            )
            if not rows:
                return
            yield from rows
            last = rows[-1][0]

    def _delete(self, rows: Sequence[int]) -> int:
        for start in range(0, len(rows), DELETE_CHUNK):
            chunk = rows[start : start + DELETE_CHUNK]
            # The lock is held throughout: no append of this process takes the room that is let go.
            with self._write_lock:
                try:
                    remove(self._writer, chunk)
                except LogUnavailable:
                    self._ballast.free()
                    self._bound()
                    remove_tightly(self._writer, chunk)
        return len(rows)

    def _news(self) -> bool:
        """Say whether this process or another has appended since this thread asked last."""
        with self._appended:
            appends = self._appends
        version = self._query("PRAGMA data_version", ())[0][0]
        before = getattr(self._seen, "appends", None), getattr(self._seen, "version", None)
        self._seen.appends, self._seen.version = appends, version
        return before != (appends, version)
