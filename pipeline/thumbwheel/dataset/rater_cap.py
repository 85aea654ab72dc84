"""No rater's voice counts without end: the newest votes of each are kept, up to a limit."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from thumbwheel.dataset.voices import voice_of
from thumbwheel.records import Feedback, FeedbackKind


class RaterCap:
    """Decides which votes are kept. Memory: one number a rater, and `limit` entries a rater above the limit."""

    def __init__(self, limit: int, anonymous_as_one: bool, kinds: frozenset[FeedbackKind]) -> None:
        """Keep `limit` votes a rater, of the `kinds` that are learned from.

        With `anonymous_as_one`, all votes without a user id are one rater's.
        """
        self._limit = limit
        self._kinds = kinds
        self._anonymous_as_one = anonymous_as_one
        self._counts: Counter[str] = Counter()
        self._newest: dict[str, list[tuple[int, str, str]]] = {}

    def count(self, votes: Iterable[Feedback]) -> None:
        """First pass: how many votes each rater gave; some may not come to the second."""
        self._counts.update(self._voice(vote) for vote in votes if vote.kind in self._kinds)

    @property
    def exceeded(self) -> bool:
        """Whether a second pass is needed, because some rater is above the limit."""
        return any(count > self._limit for count in self._counts.values())

    def rank(self, votes: Iterable[Feedback]) -> None:
        """Second pass: remember the newest votes, of those that are to be counted, of the raters above the limit."""
        for vote in votes:
            voice = self._voice(vote)
            if vote.kind in self._kinds and self._counts[voice] > self._limit:
                heap = self._newest.setdefault(voice, [])
                heapq.heappush(heap, _age(vote))
                if len(heap) > self._limit:
                    heapq.heappop(heap)

    def keeps(self, vote: Feedback) -> bool:
        """Whether the vote is among the newest of its rater, or of a kind that nothing learns from."""
        if vote.kind not in self._kinds:
            return True
        heap = self._newest.get(self._voice(vote))
        return not heap or _age(vote) >= heap[0]

    def _voice(self, vote: Feedback) -> str:
        return voice_of(vote.rater, self._anonymous_as_one)


def _age(vote: Feedback) -> tuple[int, str, str]:
    return vote.time_us, vote.feedback_id, vote.kind.value
