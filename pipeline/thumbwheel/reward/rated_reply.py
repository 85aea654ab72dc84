"""Votes as training rows of a reward model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.records import Feedback, FeedbackKind, GenerateAnswer


@dataclass(frozen=True, slots=True)
class RatedReply:
    """A served reply as the policy saw it, and what one user thought of it.

    `target` is the wished probability of a thumb up, in [0, 1]; `weight` > 0 counts in the loss. `learnable`: the reply
    is a draw from the policy itself, not greedy, truncated or cut. The reward model reads all, since a judgement of a
    text stands however the text came about; what teaches the policy to write must be learnable.
    """

    prompt_ids: tuple[int, ...]
    reply_ids: tuple[int, ...]
    target: float
    weight: float = 1.0
    learnable: bool = True


def rated_replies(rows: Iterable[SnapshotRow]) -> list[RatedReply]:
    """Return one row a vote that this reward model can use; answers nobody rated are unknown, not bad."""
    return [
        RatedReply(answer.prompt_token_ids, answer.token_ids, target, row.weight, row.learnable)
        for row in rows
        if isinstance(answer := row.response.answer, GenerateAnswer) and answer.token_ids
        for vote in row.votes
        if (target := target_of(vote)) is not None
    ]


def target_of(vote: Feedback) -> float | None:
    """Return the target a vote stands for, None for kinds that are no judgement of one reply alone."""
    if vote.kind is FeedbackKind.THUMB:
        return float(bool(vote.thumb_up))
    return None
