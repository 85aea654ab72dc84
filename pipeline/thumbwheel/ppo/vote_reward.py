"""The reward that a thumb or a rating stands for, where no reward model is learned."""

from __future__ import annotations

from typing import Final

from thumbwheel.records import Feedback, FeedbackKind

_MIDDLE_RATING: Final = 3
_RATINGS_TO_EDGE: Final = 2


def reward_of(vote: Feedback) -> float | None:
    """In [-1, 1]: a thumb is 1 or -1, a rating of 1 to 5 lies evenly between; None for other kinds of votes."""
    if vote.kind is FeedbackKind.THUMB:
        return 1.0 if vote.thumb_up else -1.0
    if vote.kind is FeedbackKind.RATING and vote.rating is not None:
        return (vote.rating - _MIDDLE_RATING) / _RATINGS_TO_EDGE
    return None
