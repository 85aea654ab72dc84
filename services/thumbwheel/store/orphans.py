"""Feedback that waits for its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select

from thumbwheel.database.lists import among
from thumbwheel.database.rows import insert_rows
from thumbwheel.database.schema import orphans as table
from thumbwheel.events.outline import FeedbackOutline, outline
from thumbwheel.store.port import Arrival


def add(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    """Let feedback wait."""
    insert_rows(connection, table, [_row(arrival) for arrival in arrivals])


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
    found = [_arrival(row) for row in connection.execute(query)]
    if found:
        connection.execute(delete(table).where(which))
    return found


def _arrival(row: Row[Any]) -> Arrival:
    event = outline(row.payload)
    assert isinstance(event, FeedbackOutline)
    return Arrival(event, row.topic, row.partition, row.offset)


def _row(arrival: Arrival) -> tuple[object, ...]:
    event, topic, partition, offset = arrival
    return event.rater, event.feedback_id, event.response_id, event.time_us, topic, partition, offset, event.payload
