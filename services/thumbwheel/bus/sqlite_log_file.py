"""The file of the embedded event log: its tables and format, how it is opened, and what is written into it.

Nothing here holds a lock: whoever writes has the only connection that does.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final

from thumbwheel.bus.port import NewRecord
from thumbwheel.database.sqlite_faults import fault
from thumbwheel.errors import LogUnavailable, SchemaMismatch

OFFSET_BITS: Final = 40
"""A record's row id is `stream << OFFSET_BITS | offset`."""
DELETE_CHUNK: Final = 5_000
"""Rows removed in a transaction, so that appends get in between."""

FORMAT: Final = 1
"""Kept as the file's `user_version`; 0 is a file from before it was kept, whose format is the same."""

_BUSY_TIMEOUT_S = 10.0
_TIGHT_CHUNK = 50  # rows a transaction on a full disk: what one writes has to fit into the ballast
_MOST_ROWS = 64  # with one statement
_WAL_PAGES = 1_000  # pages between two checkpoints: bounds the -wal file to about 4 MB

_TABLES = """
CREATE TABLE IF NOT EXISTS streams (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
  UNIQUE (topic, partition));
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, key TEXT NOT NULL, headers TEXT NOT NULL, payload BLOB NOT NULL);
"""


def connect(path: Path, read_only: bool) -> sqlite3.Connection:
    """Open the file, durable on return of each commit; what is deleted is overwritten."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=16
    )
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.execute("PRAGMA secure_delete = ON").close()
    connection.execute("PRAGMA temp_store = MEMORY").close()
    return connection


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SchemaMismatch where a newer thumbwheel wrote the file."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > FORMAT:
        raise SchemaMismatch(
            f"{path.name}: a newer thumbwheel wrote it (format {found}, this one reads up to {FORMAT});"
            " run that version, or restore a backup"
        )


def prepare(connection: sqlite3.Connection, max_bytes: int, partitions: int, topics: Sequence[str]) -> None:
    """Make what is missing of the file, of at most `max_bytes`; what it has already stays."""
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}").close()
    page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {max(max_bytes // page_size, 1)}").close()
    with _transaction(connection):
        for statement in _TABLES.split(";"):
            connection.execute(statement).close()
        connection.execute(f"PRAGMA user_version = {FORMAT}").close()
        known = {topic for topic, _ in streams_in(connection)}
        connection.executemany(
            "INSERT INTO streams (topic, partition, next_offset) VALUES (?, ?, 0)",
            [(topic, number) for topic in topics if topic not in known for number in range(partitions)],
        )


def streams_in(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    """The number of each (topic, partition)."""
    rows = connection.execute("SELECT topic, partition, id FROM streams").fetchall()
    return {(topic, partition): stream for topic, partition, stream in rows}


def _rows(
    placed: Sequence[tuple[int, NewRecord]], offsets: dict[int, int]
) -> Iterator[tuple[int, int, str, str, bytes]]:
    """Give each record its row id and move its stream's entry of `offsets` on."""
    now_us = time.time_ns() // 1_000
    for stream, record in placed:
        offset = offsets[stream]
        offsets[stream] = offset + 1
        headers = json.dumps({name: value.decode("latin-1") for name, value in record.headers.items()})
        yield stream << OFFSET_BITS | offset, now_us, record.key, headers, record.payload


def insert(writer: sqlite3.Connection, placed: Sequence[tuple[int, NewRecord]]) -> None:
    """Append records, each with its stream, in one transaction. Raises LogUnavailable."""
    touched = sorted({stream for stream, _ in placed})
    marks = ", ".join("?" * len(touched))
    with _writing(writer) as connection:
        found = connection.execute(f"SELECT id, next_offset FROM streams WHERE id IN ({marks})", touched)
        offsets = dict(found.fetchall())
        rows = list(_rows(placed, offsets))
        _put_in(connection, rows)
        for stream in touched:
            connection.execute("UPDATE streams SET next_offset = ? WHERE id = ?", (offsets[stream], stream))


def _put_in(connection: sqlite3.Connection, rows: list[tuple[int, int, str, str, bytes]]) -> None:
    """Insert all rows, which are used up.

    Each statement lets go of the interpreter and waits in line to have it back: many rows go with one. Their numbers
    are powers of two, so that few statements have to be prepared and kept.
    """
    while rows:
        size = min(_MOST_ROWS, 1 << (len(rows).bit_length() - 1))
        values = ", ".join(["(?, ?, ?, ?, ?)"] * size)
        connection.execute(f"INSERT INTO records VALUES {values}", list(chain.from_iterable(rows[:size])))
        del rows[:size]


def remove(connection: sqlite3.Connection, rows: Sequence[int]) -> None:
    """Remove rows in one transaction. Raises LogUnavailable."""
    with _writing(connection):
        connection.executemany("DELETE FROM records WHERE id = ?", [(row,) for row in rows])


def remove_tightly(connection: sqlite3.Connection, rows: Sequence[int]) -> None:
    """Remove rows with little room left: each time the `-wal` file is emptied into the file, to be written anew.

    Raises LogUnavailable: some may be left.
    """
    for start in range(0, len(rows), _TIGHT_CHUNK):
        with translated():
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        remove(connection, rows[start : start + _TIGHT_CHUNK])


def headers_of(text: str) -> Mapping[str, bytes]:
    """What a record came with, as it was written."""
    return {name: value.encode("latin-1") for name, value in json.loads(text).items()}


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    with translated(), _transaction(connection):
        yield connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def translated() -> Iterator[None]:
    """Raise LogUnavailable where SQLite says that the file can't be used now."""
    try:
        yield
    except sqlite3.Error as error:
        found = fault(error)
        if found is None:
            raise
        raise LogUnavailable(f"the event log is unavailable: {found.problem}", found.retry_after_s) from error
