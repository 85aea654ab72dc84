"""All rows of one database, copied into another, of whatever kind: in one transaction, so all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select, text

from thumbwheel.database.schema import leases, metadata, versions
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import Conflict

Row = Mapping[Any, Any]
Changed = Callable[[Table, Row], Row]
Prepare = Callable[[Connection, Table, Sequence[Row]], None]
Told = Callable[[int, int], None]

_BATCH_ROWS = 1_000
_MADE_BY_USE = ("versions", "responses", "feedback_events", "dead_letters", "runs", "consumer_offsets", "api_keys")


def count_rows(engine: Engine) -> int:
    """Return how many rows `copy_rows` would copy. Raises Unavailable."""
    with reading(engine) as connection:
        return sum(_count(connection, table) for table in _tables())


def is_copy(source: Engine, target: Engine) -> bool:
    """Whether the target has as many rows in every table as the source: what `copy_rows` leaves, and nobody else does.

    Raises Unavailable.
    """
    with reading(source) as here, reading(target) as there:
        counts = [(_count(here, table), _count(there, table)) for table in _tables()]
    return all(mine == copied for mine, copied in counts) and any(mine for mine, _ in counts)


def copy_rows(source: Engine, target: Engine, changed: Changed, prepare: Prepare, told: Told) -> int:
    """Copy every row; both databases have this version's schema, and nobody writes to the source meanwhile.

    `changed` returns a row as it is to be written; `prepare` is called before each batch is. `told` hears how many
    rows of how many are done. Leases stay behind: who held one held it there. Returns the number of rows.

    Raises:
        Conflict: the target has been used before. Nothing was written.
        Unavailable: a database is away. Nothing was written.
    """
    total, done = count_rows(source), 0
    with reading(source) as reader, writing(target) as writer:
        _demand_unused(writer)
        for table in _tables():
            writer.execute(table.delete())  # what migrations have put there: the source has its own
            for batch in _batches(reader, table):
                rows = [dict(changed(table, row)) for row in batch]
                prepare(writer, table, rows)
                writer.execute(insert(table), rows)
                done += len(rows)
                told(done, total)
            _go_on_counting(writer, table)
    return done


def _tables() -> list[Table]:
    return [table for table in metadata.sorted_tables if table is not leases]


def _demand_unused(connection: Connection) -> None:
    for name in _MADE_BY_USE:
        if _count(connection, metadata.tables[name]):
            raise Conflict(f"database.url: this database has {name} already; moving needs one that was never used")


def _count(connection: Connection, table: Table) -> int:
    return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def _batches(connection: Connection, table: Table) -> Iterator[Sequence[Row]]:
    streamed = connection.execution_options(yield_per=_BATCH_ROWS).execute(select(table))
    yield from streamed.mappings().partitions()


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let the next row that is numbered by the database follow the last one copied."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    last = f"SELECT max({column.name}) FROM {table.name}"
    sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
    connection.execute(
        text(f"SELECT setval({sequence}, coalesce(({last}), 0) + 1, false) WHERE {sequence} IS NOT NULL")
    )


def relocated(locations: Mapping[tuple[str, str], str]) -> Changed:
    """Return what gives versions new locations, by (policy, version), and leaves everything else as it is."""

    def changed(table: Table, row: Row) -> Row:
        if table is not versions:
            return row
        return {**row, "location": locations.get((row["policy"], row["version"]), row["location"])}

    return changed
