"""Records that could not be used, with their place in the log and their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from thumbwheel.database.schema import dead_letters as table
from thumbwheel.errors import PoisonRecord
from thumbwheel.events.convert import decode
from thumbwheel.records import DeadLetter

_CHUNK = 500


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Insert dead letters."""
    if letters:
        connection.execute(insert(table), [_row(letter) for letter in letters])


def newest(connection: Connection, limit: int) -> list[DeadLetter]:
    """Return the newest, by order of insertion."""
    return [_letter(row) for row in connection.execute(select(table).order_by(table.c.id.desc()).limit(limit))]


def following(connection: Connection, number: int, limit: int) -> list[DeadLetter]:
    """Return those from `number` on, in order."""
    query = select(table).where(table.c.id >= number).order_by(table.c.id).limit(limit)
    return [_letter(row) for row in connection.execute(query)]


def remove(connection: Connection, number: int) -> None:
    """Delete one, if it is there."""
    connection.execute(delete(table).where(table.c.id == number))


def count(connection: Connection) -> int:
    """Count all."""
    return connection.scalar(select(func.count()).select_from(table)) or 0


def erase_mentions(connection: Connection, names: Iterable[str]) -> int:
    """Delete those whose bytes hold one of `names` (pseudonyms, response ids); return how many.

    Looks at every dead letter: what can not be decoded can only be searched.
    """
    doomed = [number for number, _ in _mentions(connection, names)]
    for start in range(0, len(doomed), _CHUNK):
        connection.execute(delete(table).where(table.c.id.in_(doomed[start : start + _CHUNK])))
    return len(doomed)


def answers_in_mentions(connection: Connection, name: str) -> set[str]:
    """Return the ids of the answers that are concerned by those whose bytes hold `name`, as far as they are events."""
    found = set()
    for _, payload in _mentions(connection, [name]):
        with suppress(PoisonRecord):
            found.add(decode(payload).response_id)
    return found


def _mentions(connection: Connection, names: Iterable[str]) -> Iterator[tuple[int, bytes]]:
    """Yield row id and bytes of those whose bytes hold one of `names`."""
    needles = [name.encode() for name in names if name]
    last = 0
    while rows := connection.execute(
        select(table.c.id, table.c.payload).where(table.c.id > last).order_by(table.c.id).limit(_CHUNK)
    ).all():
        last = rows[-1].id
        for row in rows:
            if any(needle in row.payload for needle in needles):
                yield row.id, row.payload


def _letter(row: Row[*tuple[Any, ...]]) -> DeadLetter:
    return DeadLetter(row.topic, row.partition, row.offset, row.reason, row.payload, row.time_us, row.id)


def _row(letter: DeadLetter) -> dict[str, object]:
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "payload": letter.payload,
        "time_us": letter.time_us,
    }
