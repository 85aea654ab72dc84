"""Votes of every kind as training rows of a reward model: a judgement of one reply, or an order of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.dataset.voices import voice_of
from thumbwheel.records import Feedback, FeedbackKind, GenerateAnswer
from thumbwheel.reward.correction import Corrections
from thumbwheel.reward.losses import RATING_LEVELS

TokenIds = tuple[int, ...]
UNDECIDED: Final = 0.5


@dataclass(frozen=True, slots=True)
class RatedReply:
    """A served reply as the policy saw it, and what one user thought of it.

    `target` is the wished probability of a thumb up, in [0, 1]; `weight` > 0 counts in the loss. `learnable`: the reply
    is a draw from the policy itself, not greedy, truncated or cut. The reward model reads all, since a judgement of a
    text stands however the text came about; what teaches the policy to write must be learnable.

    `rating` is the number of stars of a rating, 0 of a thumb; `rater` whose voice it is, empty where nobody knows.
    `version` made the reply.
    """

    prompt_ids: TokenIds
    reply_ids: TokenIds
    target: float
    weight: float = 1.0
    learnable: bool = True
    rating: int = 0
    rater: str = ""
    version: str = ""

    @property
    def replies(self) -> tuple[TokenIds, ...]:
        """The one reply."""
        return (self.reply_ids,)

    @property
    def decided(self) -> bool:
        """Whether the vote takes a side: three stars of five don't."""
        return self.target != UNDECIDED


@dataclass(frozen=True, slots=True)
class RankedReplies:
    """Replies to one prompt, best first. The first `ordered` are in order, those after below them and untold apart.

    `edited`: the first is the user's own correction of the second.
    """

    prompt_ids: TokenIds
    replies: tuple[TokenIds, ...]
    ordered: int
    weight: float = 1.0
    rater: str = ""
    edited: bool = False
    version: str = ""


Lesson = RatedReply | RankedReplies
"""What a reward model learns from one vote."""


def rated_replies(rows: Iterable[SnapshotRow], anonymous_as_one: bool = False) -> list[RatedReply]:
    """Return one row a thumb or rating; answers nobody rated are unknown, not bad."""
    return [
        RatedReply(
            answer.prompt_token_ids,
            answer.token_ids,
            target,
            row.weight,
            row.learnable,
            vote.rating or 0,
            voice_of(vote.rater, anonymous_as_one),
            row.response.ref.version,
        )
        for row in rows
        if isinstance(answer := row.response.answer, GenerateAnswer) and answer.token_ids
        for vote in row.votes
        if (target := target_of(vote)) is not None
    ]


def ranked_replies(
    rows: Iterable[SnapshotRow], corrections: Corrections, anonymous_as_one: bool = False
) -> list[RankedReplies]:
    """Return one row a ranking of at least two replies that are there, and one a correction that can be read."""
    made = []
    for row in rows:
        if not isinstance(answer := row.response.answer, GenerateAnswer) or not answer.token_ids:
            continue
        for vote in row.votes:
            ordered = _ranking(row, vote) if vote.kind is FeedbackKind.RANKING else _edit(answer, vote, corrections)
            if len(ordered) > 1:
                voice, edited = voice_of(vote.rater, anonymous_as_one), vote.kind is FeedbackKind.EDIT
                ids, version = answer.prompt_token_ids, row.response.ref.version
                made.append(RankedReplies(ids, ordered, len(ordered), row.weight, voice, edited, version))
    return made


def target_of(vote: Feedback) -> float | None:
    """Return the target a vote stands for, None for kinds that are no judgement of one reply alone."""
    if vote.kind is FeedbackKind.THUMB:
        return float(bool(vote.thumb_up))
    if vote.kind is FeedbackKind.RATING and vote.rating:
        return (vote.rating - 1) / (RATING_LEVELS - 1)
    return None


def _ranking(row: SnapshotRow, vote: Feedback) -> tuple[TokenIds, ...]:
    """The ranked candidates' tokens, best first; a candidate that is gone, or said nothing, is left out."""
    answers = {one.response_id: one.answer for one in (row.response, *row.candidates)}
    return tuple(_tokens_of(answers[name] for name in vote.ranking if name in answers))


def _tokens_of(answers: Iterable[object]) -> Iterator[TokenIds]:
    return (answer.token_ids for answer in answers if isinstance(answer, GenerateAnswer) and answer.token_ids)


def _edit(answer: GenerateAnswer, vote: Feedback, corrections: Corrections) -> tuple[TokenIds, ...]:
    """The correction and what it corrects; nothing where there is none that can be read."""
    corrected = corrections.reply_ids(answer, vote)
    return (corrected, answer.token_ids) if corrected else ()


def decided(rows: Sequence[RatedReply]) -> list[RatedReply]:
    """Return the votes that take a side."""
    return [row for row in rows if row.decided]
