"""Feedback that waits for its answer."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from thumbwheel.database.lists import among
from thumbwheel.database.schema import orphans as table
from thumbwheel.events.convert import encode
from thumbwheel.store.arrivals import Arrival, decoded


def add(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    """Let feedback wait."""
    if arrivals:
        connection.execute(insert(table), [_row(arrival) for arrival in arrivals])


def take(connection: Connection, response_ids: Sequence[str]) -> list[Arrival]:
    """Remove and return what waits for these answers, in a fixed order."""
    return _take(connection, among(connection, table.c.response_id, response_ids)) if response_ids else []


def take_older(connection: Connection, time_us: int) -> list[Arrival]:
    """Remove and return what was received before this time."""
    return _take(connection, table.c.time_us < time_us)


def count(connection: Connection) -> int:
    """Count what waits."""
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _take(connection: Connection, which: ColumnElement[bool]) -> list[Arrival]:
    query = select(table).where(which).order_by(table.c.time_us, table.c.feedback_id, table.c.rater)
    found = [Arrival(decoded(row.payload), row.topic, row.partition, row.offset) for row in connection.execute(query)]
    if found:
        connection.execute(delete(table).where(which))
    return found


def _row(arrival: Arrival) -> dict[str, object]:
    return {
        "rater": arrival.record.rater,
        "feedback_id": arrival.record.feedback_id,
        "response_id": arrival.record.response_id,
        "time_us": arrival.record.time_us,
        "topic": arrival.topic,
        "partition": arrival.partition,
        "offset": arrival.offset,
        "payload": encode(arrival.record),
    }
