"""Transactions: `writing` takes the write lock at its start, `reading` never waits for a writer.

Both turn a full disk, a read-only file or a lost server into `Unavailable`. Nothing is tried again here: only the
caller knows whether what it read before is still what it wants to write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from thumbwheel.database import postgres_faults, sqlite_faults
from thumbwheel.errors import Unavailable

READ_ONLY = "thumbwheel_read_only"
BARE = "thumbwheel_bare"  # for maintenance that a database refuses inside a transaction: none is begun


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that may write; committed at the end, rolled back when the block raises.

    Raises:
        Unavailable: the database can not be reached or written. Nothing was written, unless the server was lost
            between the commit and its answer, which nobody can tell apart: do the same again, by the same id.
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
    if isinstance(error, PoolTimeout):
        return Unavailable("the database is unavailable: all of its connections are in use", 1.0)
    cause = error.orig if isinstance(error, DBAPIError) else error
    if cause is None:
        return None
    found = sqlite_faults.fault(cause) or postgres_faults.fault(cause)
    if found is None and isinstance(error, DBAPIError) and (error.connection_invalidated or _is_lost(error)):
        found = postgres_faults.AWAY
    return Unavailable(f"the database is unavailable: {found.problem}", found.retry_after_s) if found else None


def _is_lost(error: DBAPIError) -> bool:
    """Whether a server could not be reached or went away: such errors carry no code. One with a code was answered."""
    if isinstance(error.orig, sqlite3.Error) or getattr(error.orig, "sqlstate", None) is not None:
        return False
    return isinstance(error, OperationalError | InterfaceError)
