"""Consumers' offsets, moved by compare-and-set: what makes a second consumer stop and a replay add nothing."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, true, update

from thumbwheel.database.schema import consumer_offsets as table
from thumbwheel.errors import Fenced
from thumbwheel.store.port import Batch


def next_offset(connection: Connection, consumer: str, topic: str, partition: int, log_id: str = "") -> int:
    """Return a consumer's next offset; 0 when it never committed, or did so for another topic than `log_id`."""
    query = select(table.c.next_offset).where(*_key(consumer, topic, partition), _same_log(log_id))
    return connection.scalar(query) or 0


def any_committed(connection: Connection) -> bool:
    """Whether any consumer ever committed."""
    return connection.scalar(select(table.c.consumer).limit(1)) is not None


def advance(connection: Connection, batch: Batch) -> None:
    """Move the batch's consumer from `expected_offset` to `next_offset`. Raises Fenced if it stands elsewhere.

    In another topic than it stood in it stands at 0.
    """
    key = _key(batch.consumer, batch.topic, batch.partition)
    stands = and_(_same_log(batch.log_id), table.c.next_offset == batch.expected_offset)
    if batch.expected_offset == 0:
        stands = or_(stands, ~_same_log(batch.log_id))
    known = {"log_id": batch.log_id} if batch.log_id else {}
    moved = connection.execute(update(table).where(*key, stands).values(next_offset=batch.next_offset, **known))
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
            consumer=batch.consumer,
            topic=batch.topic,
            partition=batch.partition,
            next_offset=batch.next_offset,
            log_id=batch.log_id,
        )
    )


def _same_log(log_id: str) -> ColumnElement[bool]:
    """Whether a row is of this topic. What is not known is taken for the same."""
    return table.c.log_id.in_([log_id, ""]) if log_id else true()


def _key(consumer: str, topic: str, partition: int) -> tuple[ColumnElement[bool], ...]:
    return table.c.consumer == consumer, table.c.topic == topic, table.c.partition == partition
