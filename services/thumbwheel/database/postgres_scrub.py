"""Making deleted rows unreadable in a PostgreSQL database's tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    import psycopg

_NUMBER = re.compile(r"\d+")


def scrub_tables(connection: Connection, tables: Sequence[str]) -> bool:
    """Rewrite tables without what deleted rows left in them; return False if an open transaction kept some.

    A deleted row stays in its page until it is vacuumed, and its bytes even after that, so the tables are written
    anew with their indexes, and the old files are dropped. So are the planner's statistics, which quote values; that
    takes the rights of the database's owner, and is passed over without. Each table is locked while it is written.
    Takes up to a table's size of disk.

    The write-ahead log, its archive, replicas and backups are beyond a client's reach: they keep the rows until the
    server has overwritten them or the operator's retention has removed them.
    """
    driver = connection.connection.driver_connection
    assert driver is not None
    kept = _Kept()
    driver.add_notice_handler(kept.hear)
    connection.exec_driver_sql("SET statement_timeout = 0")
    for table in tables:
        connection.exec_driver_sql(f"VACUUM (FULL, VERBOSE) {table}")
        connection.exec_driver_sql(f"VACUUM (ANALYZE) {table}")
    connection.exec_driver_sql("VACUUM (FULL) pg_catalog.pg_statistic")
    connection.detach()  # closed, not given back: its settings are not those of the pool
    return kept.rows == 0


class _Kept:
    """Counts deleted rows that some open transaction can still see; only VACUUM's own report tells."""

    def __init__(self) -> None:
        self.rows = 0

    def hear(self, notice: psycopg.errors.Diagnostic) -> None:
        # "3 dead row versions cannot be removed yet.", in the language of the server
        number = _NUMBER.search(notice.message_detail or "")
        if number:
            self.rows += int(number.group())
