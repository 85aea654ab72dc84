"""Waiting until what was acknowledged is in the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from thumbwheel.bus.port import EventLog
from thumbwheel.bus.source import Place, Source, ends, shipped
from thumbwheel.errors import LogUnavailable, Unavailable
from thumbwheel.store.port import FeedbackStore

_LOOK_S = 0.02
_RETRY_S = 1.0
_UNKNOWN = "the log is away, so that it can not be known what is still on its way to the store; try again"

Others = Callable[[], Callable[[], bool]]
"""Notes what waits in outboxes, and returns what tells whether all of that was shipped. Both may raise Unavailable."""


class IngestProgress:
    """How far ingest has come, seen through its offsets in the store, and before it the relay through the outbox."""

    def __init__(
        self, store: FeedbackStore, source: Source, patience_s: float = 2.0, others: Others | None = None
    ) -> None:
        """Follow ingest from `source` into `store`; be patient for at most `patience_s` seconds.

        `others` looks at the outboxes of other processes that take events for the same log.
        """
        self._store = store
        self._source = source
        self._patience_s = patience_s
        self._others = others

    async def caught_up(self, topics: Sequence[str]) -> None:
        """Return when everything that was acknowledged for `topics` before the call is in the store.

        Raises Unavailable, with a retry hint, when that takes too long, or can't be known because the log is away.
        """
        deadline = time.monotonic() + self._patience_s
        outbox, log = self._source.outbox, self._source.log
        if outbox is not None:
            # Shipping moves records on: only behind it do the log's ends cover all that was acknowledged.
            waiting = await asyncio.to_thread(ends, outbox, topics)
            await _until(lambda: shipped(outbox, waiting), deadline)
        if self._others is not None:
            all_shipped = await asyncio.to_thread(self._others)
            await _until(all_shipped, deadline)
        try:
            readable = await asyncio.to_thread(_marks, log, topics)
        except LogUnavailable as error:  # what ails it is for operators
            raise LogUnavailable(_UNKNOWN, error.retry_after_s) from error
        await _until(lambda: self._passed(readable), deadline)

    def _passed(self, marks: Mapping[Place, _Mark]) -> bool:
        return all(
            self._store.offset(self._source.consumer, *place, mark.log_id) >= mark.end for place, mark in marks.items()
        )


class _Mark(NamedTuple):
    """The end of a partition, and which topic of that name it is."""

    end: int
    log_id: str


def _marks(log: EventLog, topics: Sequence[str]) -> Mapping[Place, _Mark]:
    return {place: _Mark(end, log.identity(place[0])) for place, end in ends(log, topics).items()}


async def _until(reached: Callable[[], bool], deadline: float) -> None:
    while not await asyncio.to_thread(reached):
        if time.monotonic() >= deadline:
            raise Unavailable("earlier events are still on their way to the store; try again", _RETRY_S)
        await asyncio.sleep(_LOOK_S)
