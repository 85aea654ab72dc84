"""Slices of time of the tables that grow with every answer, so that what is past goes by a drop.

An answer's id is a UUIDv7: it begins with the time of the answer, in milliseconds. As texts, ids are in the order of
their time (RFC 9562, section 5.7). On PostgreSQL the tables of `schema.SLICED` are partitioned by ranges of ids; each
range, a slice, is a partition of its name in each of them. What has no slice, or an id of another sort, lies in the
partition `..._rest`, as right there as anywhere: only that it goes row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from thumbwheel.database.schema import SLICED

DAY_MS = 86_400_000
_PATIENCE = "1s"
_TIME = re.compile(r"0[0-9a-f]{7}-[0-9a-f]{4}-7")  # up to the year 2527
_NAME = re.compile(r"responses_([0-9a-f]{12})_([0-9a-f]{12})")


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """A range of time, from `start_ms` to before `end_ms`, since the epoch."""

    start_ms: int
    end_ms: int

    @property
    def suffix(self) -> str:
        """What the names of its partitions end with."""
        return f"{self.start_ms:012x}_{self.end_ms:012x}"


def first_id(time_ms: int) -> str:
    """Return a text that no id of that time or later is below, and every id of an earlier time is."""
    digits = f"{time_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def start_ms(time_ms: int, slice_days: int) -> int:
    """Return when the slice of `slice_days` begins that a time is in."""
    return time_ms // (slice_days * DAY_MS) * slice_days * DAY_MS


def time_ms_of(response_id: str) -> int | None:
    """Return the time that an id begins with, None for an id of another sort."""
    if not _TIME.match(response_id):
        return None
    return int(response_id[:8] + response_id[9:13], 16)


def present(connection: Connection) -> list[Slice]:
    """Return the slices that there are, in order; none where the database has no partitions."""
    if connection.dialect.name != "postgresql":
        return []
    query = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'responses'::regclass"
    )
    found = (_NAME.fullmatch(name) for name in connection.scalars(query))
    return sorted(Slice(int(one[1], 16), int(one[2], 16)) for one in found if one)


def missing(times_ms: Iterable[int], slice_days: int, there: Sequence[Slice]) -> list[Slice]:
    """Return the slices to make for answers of these times: whole ones of `slice_days`, less what others have."""
    made: list[Slice] = []
    for time_ms in sorted(set(times_ms)):
        known = [*there, *made]
        if any(one.start_ms <= time_ms < one.end_ms for one in known):
            continue
        start = start_ms(time_ms, slice_days)
        made.append(
            Slice(
                max([start, *(one.end_ms for one in known if one.end_ms <= time_ms)]),
                min([start + slice_days * DAY_MS, *(one.start_ms for one in known if one.start_ms > time_ms)]),
            )
        )
    return made


def make(connection: Connection, slices: Sequence[Slice]) -> bool:
    """Make slices, and move into them what the rest has of them; return False if somebody was in the way too long.

    Then nothing was made. Writers are waited for as by every writer; readers only a moment: whoever reads for minutes
    (a dump) must not keep answers from being stored.
    """
    limit = connection.scalar(text("SHOW lock_timeout"))
    try:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            for one in slices:
                for table in SLICED:
                    _attach(connection, table.name, one)
            connection.execute(text(f"SET LOCAL lock_timeout = '{limit}'"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":
            raise
        return False
    return True


def drop(connection: Connection, before_ms: int) -> list[Slice]:
    """Drop the slices that end at this time or before; return them. It takes no longer for more rows.

    Readers are waited for only a moment, as those who come meanwhile wait, too; then the database is `Unavailable`.
    """
    past = [one for one in present(connection) if one.end_ms <= before_ms]
    if past:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
    for table in SLICED if past else ():
        # In the readers' order: one who has begun is waited for, and does not wait for us.
        names = ", ".join(f"{table.name}_{one.suffix}" for one in past)
        connection.execute(text(f"DROP TABLE {names}"))
    return past


def _attach(connection: Connection, table: str, one: Slice) -> None:
    name, rest = f"{table}_{one.suffix}", f"{table}_rest"
    low, high = first_id(one.start_ms), first_id(one.end_ms)
    moved = f"DELETE FROM {rest} WHERE response_id >= '{low}' AND response_id < '{high}' RETURNING *"
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
    connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"))
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"))
