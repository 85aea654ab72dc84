"""Looking up what raters sent before, although it reaches the store a moment after it was acknowledged."""

from __future__ import annotations

from typing import Protocol

from thumbwheel.bus.port import TOPICS
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.bounded_calls import BoundedCalls
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.records import Feedback, FeedbackKind, Retraction
from thumbwheel.store.port import FeedbackStore


class VoteLookup(Protocol):
    """Finds what a rater sent before."""

    async def has_voted(self, response_id: str, rater: str, kind: FeedbackKind) -> bool:
        """Whether the rater ever gave a vote of that kind on the answer, taken back since or not.

        False only if none was acknowledged before this call.

        Raises:
            Unavailable: that can't be known yet.
        """

    async def is_known(self, record: Feedback | Retraction) -> bool:
        """Whether the rater sent this before, as far as it is known: what was sent just now may not be.

        Raises:
            AlreadyExists: the rater sent something else under this `feedback_id`.
        """


class IngestedVotes:
    """Looks in the store, and where a denial would follow waits for ingest to pass what was acknowledged before."""

    def __init__(self, store: FeedbackStore, progress: IngestProgress, calls: BoundedCalls | None = None) -> None:
        """Look in `store`, to which `progress` leads; a store that hangs is given up, see `BoundedCalls`."""
        self._store = store
        self._progress = progress
        self._calls = calls or BoundedCalls("the database")

    async def has_voted(self, response_id: str, rater: str, kind: FeedbackKind) -> bool:
        """See the protocol."""
        if await self._find(response_id, rater, kind):
            return True
        # Both topics: a vote whose answer is not in the store yet waits there and is not found.
        await self._progress.caught_up(TOPICS)
        return await self._find(response_id, rater, kind)

    async def is_known(self, record: Feedback | Retraction) -> bool:
        """See the protocol. With the store away, or hanging, nothing is known: the log takes votes all the same.

        What was sent before is then in the log twice. Ingest drops the second, and keeps the first where they differ.
        """
        try:
            return await self._calls.ask(lambda: self._store.has_feedback(record))
        except Unavailable:
            return False

    async def _find(self, response_id: str, rater: str, kind: FeedbackKind) -> bool:
        return await self._calls.ask(lambda: self._store.has_voted(response_id, rater, kind))
