"""Slices for the answers that come, made when they are needed or a little before."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from thumbwheel.database import slices
from thumbwheel.database.slices import DAY_MS, Slice
from thumbwheel.store.retention import slice_days

_AGAIN_S = 60.0


class Room:
    """Remembers which slices there are. Where one is missing (dropped since, or not to be had now) rows go elsewhere.

    Used inside the transactions of writers, of which there is one at a time.
    """

    def __init__(self) -> None:
        self._there: Sequence[Slice] | None = None
        self._not_before = 0.0

    def make(self, connection: Connection, response_ids: Iterable[str]) -> None:
        """Make the slices of answers that are about to be inserted."""
        if connection.dialect.name == "postgresql":
            self._make(connection, [time for time in map(slices.time_ms_of, response_ids) if time is not None])

    def make_ahead(self, connection: Connection, now_ms: int) -> None:
        """Make the slices of now and of what follows, while nobody waits for them."""
        if connection.dialect.name == "postgresql":
            self._there = None
            self._make(connection, [now_ms, now_ms + slice_days(connection) * DAY_MS])

    def _make(self, connection: Connection, times_ms: Sequence[int]) -> None:
        if self._has(times_ms) or time.monotonic() < self._not_before:
            return
        there = slices.present(connection)
        wanted = slices.missing(times_ms, slice_days(connection), there)
        if wanted and not slices.make(connection, wanted):
            self._not_before = time.monotonic() + _AGAIN_S
            return
        # Not forgotten by a rollback: then rows go into the rest until the next look.
        self._there = [*there, *wanted]

    def _has(self, times_ms: Sequence[int]) -> bool:
        there = self._there
        return there is not None and all(any(one.start_ms <= at < one.end_ms for one in there) for at in times_ms)
