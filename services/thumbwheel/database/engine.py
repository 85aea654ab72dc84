"""The engine: one connection pool for a database URL, set up so that a committed transaction survives a power cut."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from thumbwheel.database.transactions import READ_ONLY
from thumbwheel.errors import InvalidConfig

BUSY_TIMEOUT_S = 10.0

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


def connect(url: str) -> Engine:
    """Return an engine for a `sqlite:///file` URL. Opens nothing yet; `dispose()` closes its connections.

    A transaction of this engine takes the write lock at its start (so it can not fail half way for another
    writer), unless it is opened by `reading`.

    Raises:
        InvalidConfig: the URL is malformed or names a database this version has no support for.
    """
    try:
        engine = create_engine(make_url(url))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise InvalidConfig("database_url", "not a usable database URL; write sqlite:///FILE") from error
    if engine.dialect.name != "sqlite":
        raise InvalidConfig("database_url", f"{engine.dialect.name} is not supported; write sqlite:///FILE")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: `_begin` does
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
