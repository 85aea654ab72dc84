"""Transactions: `writing` takes the write lock at its start, `reading` never waits for a writer.

Both turn a full disk, a read-only file or a lost server into `Unavailable`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from thumbwheel.database.sqlite_faults import fault
from thumbwheel.errors import Unavailable

READ_ONLY = "thumbwheel_read_only"


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that may write; committed at the end, rolled back when the block raises.

    Raises:
        Unavailable: the database can not be reached or written; nothing was written.
    """
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads, on one consistent state of the database.

    Raises:
        Unavailable: the database can not be reached.
    """
    with translated(), engine.connect().execution_options(**{READ_ONLY: True}) as connection, connection.begin():
        yield connection


@contextmanager
def translated() -> Iterator[None]:
    """Raise conditions of the database as `Unavailable`; let defects pass as they are."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        unavailable = _unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error


def _unavailable(error: Exception) -> Unavailable | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    found = fault(cause) if cause is not None else None
    if found is not None:
        return Unavailable(f"the database is unavailable: {found.problem}", found.retry_after_s)
    if isinstance(error, PoolTimeout):
        return Unavailable("the database is unavailable: all of its connections are in use", 1.0)
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or (isinstance(error, OperationalError | InterfaceError) and not isinstance(cause, sqlite3.Error)):
        return Unavailable("the database is unavailable: it does not answer", 1.0)
    return None
