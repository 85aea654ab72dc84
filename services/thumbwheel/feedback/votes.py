"""Looking up a current vote, although votes reach the store a moment after they were acknowledged."""

from __future__ import annotations

import asyncio
from typing import Protocol

from thumbwheel.bus.port import TOPICS
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.records import Feedback, FeedbackKind
from thumbwheel.store.port import FeedbackStore


class VoteLookup(Protocol):
    """Finds current votes."""

    async def current_vote(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        """Return the rater's current vote; None only if no vote acknowledged before this call is current.

        Raises:
            Unavailable: that can't be known yet.
        """


class IngestedVotes:
    """Looks in the store, and where it finds nothing waits for ingest to pass what the log held at the call."""

    def __init__(self, store: FeedbackStore, progress: IngestProgress) -> None:
        """Look in `store`, to which `progress` leads."""
        self._store = store
        self._progress = progress

    async def current_vote(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        """See the protocol."""
        # Both topics: a vote whose answer is not in the store yet waits there and is not current.
        ends = await self._progress.ends(TOPICS)
        vote = await self._find(response_id, rater, kind)
        if vote is not None:
            return vote
        await self._progress.passed(ends)
        return await self._find(response_id, rater, kind)

    async def _find(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        return await asyncio.to_thread(self._store.current_vote, response_id, rater, kind)
