"""What is past: answers whose id is below the horizon, the votes on them, and dead letters of before.

The id tells when an answer was given, and every row of a vote has the id of its answer, so that an answer and its votes
become past together, and what the log still has of them is known by its id alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, delete, select, update

from thumbwheel.database import slices
from thumbwheel.database.schema import SLICED, dead_letters, orphans
from thumbwheel.database.schema import retention as table
from thumbwheel.store.port import Batch

_ONE = table.c.id == 1
# Of one transaction: others write in between, after a second or two. Rows of a time lie all over the indexes, and each
# transaction writes every page that it touches: fewer and larger ones write less. Of a million answers on SQLite, half
# go in 92 s by 20,000 rows, in 48 s by 100,000, on a busy machine.
_ROWS = 50_000


def horizon(connection: Connection) -> str:
    """Return the text that ids of the past are below; empty: nothing is past."""
    return connection.scalar(select(table.c.horizon).where(_ONE)) or ""


def slice_days(connection: Connection) -> int:
    """Return how many days a slice has."""
    return connection.scalar(select(table.c.slice_days).where(_ONE)) or 1


def time_us_of(horizon: str) -> int:
    """Return the time of a horizon, microseconds since the epoch."""
    return int(horizon.replace("-", "") or "0", 16) * 1_000


def move(connection: Connection, time_ms: int, days: int) -> str:
    """Move the horizon to the beginning of the slice that a time is in, never back; return where it is then."""
    wanted = slices.first_id(slices.start_ms(time_ms, days))
    moved = max(wanted, horizon(connection))
    connection.execute(update(table).where(_ONE).values(horizon=moved, slice_days=days))
    return moved


def without_past(connection: Connection, batch: Batch) -> Batch:
    """Return a batch without what is past."""
    bound = horizon(connection)
    if not bound:
        return batch
    time_us = time_us_of(bound)
    return replace(
        batch,
        answers=[one for one in batch.answers if one.response_id >= bound],
        feedback=[one for one in batch.feedback if one.event.response_id >= bound],
        dead_letters=[letter for letter in batch.dead_letters if letter.time_us >= time_us],
    )


def drop(connection: Connection, horizon: str) -> int:
    """Drop the slices below the horizon; return how many."""
    return len(slices.drop(connection, time_us_of(horizon) // 1_000))


def _deleting(column: Column[Any], bound: Callable[[str], object]) -> Callable[[Connection, str], int]:
    """Return what deletes a batch of the rows whose `column` is below the bound of a horizon, and counts them."""

    def delete_batch(connection: Connection, horizon: str) -> int:
        past = column < bound(horizon)
        doomed = connection.scalars(select(column).where(past).order_by(column).limit(_ROWS)).all()
        return connection.execute(delete(column.table).where(past, column <= doomed[-1])).rowcount if doomed else 0

    return delete_batch


BATCHES = (
    *(_deleting(rows.c.response_id, str) for rows in (*SLICED, orphans)),
    _deleting(dead_letters.c.time_us, time_us_of),
)
"""Each deletes some rows of the past, and returns how many; to be called until none are left, in this order."""
