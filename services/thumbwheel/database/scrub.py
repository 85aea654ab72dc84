"""Making deleted rows unreadable in the database's files."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine

from thumbwheel.database.transactions import translated
from thumbwheel.errors import Unavailable


def scrub(engine: Engine) -> None:
    """Remove what deleted rows left in the files. Call it outside of any transaction.

    Raises:
        Unavailable: somebody is reading, or there is no room to work; copies may be left. To be called again.
    """
    with translated(), engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        done = scrub_file(driver)
    if not done:
        raise Unavailable("the database is being read: erased rows are still in its log; erase again", 1.0)


def scrub_file(connection: sqlite3.Connection) -> bool:
    """Rewrite an SQLite file without what deleted rows left in it; return False if a reader kept it from finishing.

    `secure_delete` overwrites deleted rows, but not the stale copies that b-tree pages keep when rows move to a
    neighbour page, so the file is rewritten; then the write-ahead log, which has all of it as it was before, is
    emptied. Writers wait meanwhile. Takes up to twice the file's size of disk: beside it and in the folder for
    temporary files (not in memory, as other temporary data).
    """
    connection.execute("PRAGMA temp_store = FILE").close()
    try:
        connection.execute("VACUUM").close()
    finally:
        connection.execute("PRAGMA temp_store = MEMORY").close()
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy
