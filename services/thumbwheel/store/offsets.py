"""Consumers' offsets, moved by compare-and-set: what makes a second consumer stop and a replay add nothing."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, insert, select, update

from thumbwheel.database.schema import consumer_offsets as table
from thumbwheel.errors import Fenced
from thumbwheel.store.port import Batch


def next_offset(connection: Connection, consumer: str, topic: str, partition: int) -> int:
    """Return a consumer's next offset; 0 when it never committed."""
    found = connection.scalar(select(table.c.next_offset).where(*_key(consumer, topic, partition)))
    return found or 0


def any_committed(connection: Connection) -> bool:
    """Whether any consumer ever committed."""
    return connection.scalar(select(table.c.consumer).limit(1)) is not None


def advance(connection: Connection, batch: Batch) -> None:
    """Move the batch's consumer from `expected_offset` to `next_offset`. Raises Fenced if it stands elsewhere."""
    key = _key(batch.consumer, batch.topic, batch.partition)
    moved = connection.execute(
        update(table).where(*key, table.c.next_offset == batch.expected_offset).values(next_offset=batch.next_offset)
    )
    if moved.rowcount == 1:
        return
    found = connection.scalar(select(table.c.next_offset).where(*key))
    if found is not None or batch.expected_offset != 0:
        raise Fenced(
            f"consumer {batch.consumer} of {batch.topic}/{batch.partition} stands at {found or 0},"
            f" not at {batch.expected_offset}: another worker has taken over"
        )
    connection.execute(
        insert(table).values(
            consumer=batch.consumer, topic=batch.topic, partition=batch.partition, next_offset=batch.next_offset
        )
    )


def _key(consumer: str, topic: str, partition: int) -> tuple[ColumnElement[bool], ...]:
    return table.c.consumer == consumer, table.c.topic == topic, table.c.partition == partition
