"""Many rows into a table at once, as the connection's database takes them fastest.

While the database works on them other threads of the process run: Python's lock is let go once for many rows, not
once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

Row = Sequence[object]

# SQLite parses a statement anew for each number of rows: with powers of two there are few to be kept. Larger ones would
# be no faster, and what was bound to a statement stays in memory.
_MOST_ROWS = 512


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, each with a value for every column of the table, in the order of the columns."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, rows)
        return
    for some in _powers_of_two(rows):
        connection.exec_driver_sql(_insertion(table, len(some)), tuple(chain.from_iterable(some)))


def _powers_of_two(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    while left := len(rows) - start:
        size = min(_MOST_ROWS, 1 << left.bit_length() - 1)
        yield rows[start : start + size]
        start += size


@cache
def _insertion(table: Table, rows: int) -> str:
    row = f"({', '.join('?' * len(table.columns))})"
    return f"INSERT INTO {table.name} ({_columns(table)}) VALUES {', '.join([row] * rows)}"


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    import psycopg

    driver: Any = connection.connection.driver_connection
    statement = f"COPY {table.name} ({_columns(table)}) FROM STDIN (FORMAT BINARY)"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types([column.type.compile(connection.dialect).lower() for column in table.columns])
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # As it would have come out of `connection.execute`.
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def _columns(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)
