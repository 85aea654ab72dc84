"""An SQLite connection: set up so that a committed transaction survives a power cut, and how transactions begin."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from thumbwheel.database.transactions import READ_ONLY

BUSY_TIMEOUT_S = 10.0
_LOOK_S = 0.01

# WAL with FULL: a commit is on the disk when it returns. secure_delete and temp_store: erased text leaves no copy
# in free pages or in temporary files.
_PRAGMAS = (
    f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
)


def sqlite_engine(url: URL) -> Engine:
    """Return an engine for a file; one that it makes is for this user's eyes only, as texts of users come into it."""
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "do_connect", _make_private)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def roomy(connection: Connection, mib: int = 64) -> Iterator[None]:
    """Let one transaction change up to `mib` MiB of pages in memory, on SQLite; elsewhere the server sees to that.

    With its 2 MB, a transaction that touches pages all over large indexes writes and reads the same ones again and
    again.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size = {-1024 * mib}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {before}")


def _make_private(_dialect: Any, _record: Any, arguments: list[Any], _options: dict[str, Any]) -> None:
    # Made without being opened: closing any descriptor of the file would drop the locks that this process holds on it,
    # and another process could then take the database for its own.
    with suppress(OSError):  # it is there, or connecting says what is wrong
        os.mknod(arguments[0], 0o600 | stat.S_IFREG)


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: `_begin` does
    for pragma in _PRAGMAS:
        _execute(connection, pragma)


def _execute(connection: sqlite3.Connection, pragma: str) -> None:
    """Execute a pragma. SQLite waits for no lock while a new file becomes WAL, whatever busy_timeout says: we do."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute(pragma).close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
