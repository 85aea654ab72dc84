"""Waiting until what the log holds now is in the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from thumbwheel.bus.port import EventLog
from thumbwheel.errors import Unavailable
from thumbwheel.store.port import FeedbackStore

_LOOK_S = 0.02
_RETRY_S = 1.0

_Place = tuple[str, int]


class IngestProgress:
    """How far ingest has come, seen through its offsets in the store."""

    def __init__(self, store: FeedbackStore, log: EventLog, consumer: str, patience_s: float = 2.0) -> None:
        """Follow ingest's `consumer`; be patient for at most `patience_s` seconds."""
        self._store = store
        self._log = log
        self._consumer = consumer
        self._patience_s = patience_s

    async def ends(self, topics: Sequence[str]) -> Mapping[_Place, int]:
        """Return the present ends of all partitions of `topics`."""
        return await asyncio.to_thread(self._ends, topics)

    async def passed(self, ends: Mapping[_Place, int]) -> None:
        """Return when ingest has passed `ends`. Raises Unavailable, with a retry hint, when that takes too long."""
        deadline = time.monotonic() + self._patience_s
        while not await asyncio.to_thread(self._passed, ends):
            if time.monotonic() >= deadline:
                raise Unavailable("earlier events are still on their way to the store; try again", _RETRY_S)
            await asyncio.sleep(_LOOK_S)

    async def caught_up(self, topics: Sequence[str]) -> None:
        """Return when everything that `topics` hold at the call is in the store. Raises Unavailable."""
        await self.passed(await self.ends(topics))

    def _ends(self, topics: Sequence[str]) -> dict[_Place, int]:
        places = ((topic, one) for topic in topics for one in self._log.partitions(topic))
        return {(topic, one): self._log.end_offset(topic, one) for topic, one in places}

    def _passed(self, ends: Mapping[_Place, int]) -> bool:
        return all(self._store.offset(self._consumer, topic, one) >= end for (topic, one), end in ends.items())
