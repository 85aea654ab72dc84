"""Making deleted rows unreadable in the database's files."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine

from thumbwheel.database import schema
from thumbwheel.database.postgres_scrub import scrub_tables
from thumbwheel.database.sqlite_scrub import scrub_file
from thumbwheel.database.transactions import BARE, translated
from thumbwheel.errors import Unavailable

# What holds texts of users, or says who they are.
_PERSONAL = tuple(
    table.name
    for table in (
        schema.responses,
        schema.feedback_events,
        schema.current_votes,
        schema.orphans,
        schema.dead_letters,
        schema.user_keys,
        schema.trial_voices,
    )
)


def scrub(engine: Engine) -> None:
    """Remove what deleted rows left in the files. Call it outside of any transaction.

    Raises:
        Unavailable: somebody is reading, or there is no room to work; copies may be left. To be called again.
    """
    with translated(), engine.connect().execution_options(**{BARE: True}) as connection:
        driver = connection.connection.driver_connection
        done = scrub_file(driver) if isinstance(driver, sqlite3.Connection) else scrub_tables(connection, _PERSONAL)
    if not done:
        raise Unavailable("the database is being read: erased rows are still in its files; erase again", 1.0)
