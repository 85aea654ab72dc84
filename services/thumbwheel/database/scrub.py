"""Making deleted rows unreadable in the database's files."""

from __future__ import annotations

from sqlalchemy import Engine

from thumbwheel.database.transactions import translated
from thumbwheel.errors import Unavailable


def scrub(engine: Engine) -> None:
    """Remove what deleted rows left in the files. Call it outside of any transaction.

    SQLite overwrites deleted rows itself (`secure_delete`); their earlier copies are in the write-ahead log until
    that is emptied.

    Raises:
        Unavailable: somebody is reading; copies may be left. To be called again.
    """
    with translated(), engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (busy, _, _) = cursor.fetchone() or (1, 0, 0)
        cursor.close()
    if busy:
        raise Unavailable("the database is being read: erased rows are still in its log; erase again", 1.0)
