"""Making deleted rows unreadable in a PostgreSQL database's tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from thumbwheel.errors import Unavailable

if TYPE_CHECKING:
    import psycopg

_RETRY_S = 10.0
_NUMBER = re.compile(r"\d+")


def scrub_tables(connection: Connection, tables: Sequence[str]) -> bool:
    """Rewrite tables without what deleted rows left in them; return False if an open transaction kept some.

    A deleted row stays in its page until it is vacuumed, and its bytes even after that, so the tables are written
    anew with their indexes, and the old files are dropped. So are the planner's statistics, which quote values; that
    takes the rights of the database's owner, and is passed over without. Each table is locked while it is written.
    Takes up to a table's size of disk.

    The write-ahead log, its archive, replicas and backups are beyond a client's reach: they keep the rows until the
    server has overwritten them or the operator's retention has removed them.

    Raises:
        Unavailable: the user does not own the tables; they were passed over.
    """
    driver = connection.connection.driver_connection
    assert driver is not None
    connection.detach()  # to be closed, not given back: its settings are not those of the pool
    report = _Report()
    driver.add_notice_handler(report.hear)
    connection.exec_driver_sql("SET statement_timeout = 0")
    for table in tables:
        connection.exec_driver_sql(f"VACUUM (FULL, VERBOSE) {table}")
        connection.exec_driver_sql(f"VACUUM (ANALYZE) {table}")
    driver.remove_notice_handler(report.hear)
    connection.exec_driver_sql("VACUUM (FULL) pg_catalog.pg_statistic")
    if report.passed_over:
        raise Unavailable(
            "erased rows are still in the files: make the database's user the owner of its tables", _RETRY_S
        )
    return report.kept == 0


class _Report:
    """What VACUUM says by the way: only there it tells what it left undone."""

    def __init__(self) -> None:
        self.kept = 0  # deleted rows that some open transaction can still see
        self.passed_over = False

    def hear(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.passed_over = True  # "permission denied to vacuum ..., skipping it"
            return
        # "3 dead row versions cannot be removed yet.", in the language of the server
        number = _NUMBER.search(notice.message_detail or "")
        if number:
            self.kept += int(number.group())
