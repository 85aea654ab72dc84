"""Looking up a current vote, although votes reach the store a moment after they were acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from thumbwheel.bus.port import FEEDBACK, EventLog
from thumbwheel.errors import Unavailable
from thumbwheel.records import Feedback, FeedbackKind
from thumbwheel.store.port import FeedbackStore

_LOOK_S = 0.02
_RETRY_S = 1.0


class VoteLookup(Protocol):
    """Finds current votes."""

    async def current_vote(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        """Return the rater's current vote; None only if no vote acknowledged before this call is current.

        Raises:
            Unavailable: that can't be known yet.
        """


class IngestedVotes:
    """Looks in the store, and where it finds nothing waits for ingest to pass what the log held at the call."""

    def __init__(self, store: FeedbackStore, log: EventLog, consumer: str, patience_s: float = 2.0) -> None:
        """Follow ingest's `consumer`; wait for it at most `patience_s` seconds."""
        self._store = store
        self._log = log
        self._consumer = consumer
        self._patience_s = patience_s

    async def current_vote(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        """See the protocol."""
        ends = await asyncio.to_thread(self._ends)
        vote = await asyncio.to_thread(self._store.current_vote, response_id, rater, kind)
        if vote is not None:
            return vote
        await self._wait_for_ingest(ends)
        return await asyncio.to_thread(self._store.current_vote, response_id, rater, kind)

    async def _wait_for_ingest(self, ends: Mapping[int, int]) -> None:
        deadline = time.monotonic() + self._patience_s
        while not await asyncio.to_thread(self._passed, ends):
            if time.monotonic() >= deadline:
                raise Unavailable("earlier votes are still on their way to the store; try again", _RETRY_S)
            await asyncio.sleep(_LOOK_S)

    def _ends(self) -> dict[int, int]:
        return {one: self._log.end_offset(FEEDBACK, one) for one in self._log.partitions(FEEDBACK)}

    def _passed(self, ends: Mapping[int, int]) -> bool:
        return all(self._store.offset(self._consumer, FEEDBACK, one) >= end for one, end in ends.items())
