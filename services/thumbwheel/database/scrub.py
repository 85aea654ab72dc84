"""Making deleted rows unreadable in the database's files."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine

from thumbwheel.database.sqlite_scrub import scrub_file
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
