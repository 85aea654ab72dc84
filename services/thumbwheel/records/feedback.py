"""What users say of answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from thumbwheel.records.answers import LoggedResponse

# How the pseudonym of a rater without a user id begins; it tells nothing else. One with a user id begins with `u`.
ANONYMOUS_RATER: Final = "a"


def is_anonymous(rater: str) -> bool:
    """Whether a rater's pseudonym stands for whoever holds an answer's token, and not for a user."""
    return rater.startswith(ANONYMOUS_RATER)


class FeedbackKind(StrEnum):
    """The forms a vote takes. The current vote is one for each (response, rater, kind)."""

    THUMB = "thumb"
    RATING = "rating"
    RANKING = "ranking"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class Edit:
    """A correction by the user; the field that fits the policy's kind is set."""

    text: str = ""
    label: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """One piece of feedback as received. Exactly the field that belongs to `kind` is set.

    `sequence` is the store's ingest order (0 before it is stored).
    """

    feedback_id: str
    response_id: str
    rater: str
    tenant: str
    policy: str
    policy_version: str
    kind: FeedbackKind
    time_us: int
    thumb_up: bool | None = None
    rating: int | None = None
    ranking: tuple[str, ...] = ()
    edit: Edit | None = None
    comment: str = ""
    reasons: tuple[str, ...] = ()
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Retraction:
    """A vote taken back."""

    feedback_id: str
    response_id: str
    rater: str
    tenant: str
    kind: FeedbackKind
    time_us: int


@dataclass(frozen=True, slots=True)
class RatedResponse:
    """An answer with its current votes: what learning reads."""

    response: LoggedResponse
    votes: tuple[Feedback, ...]


@dataclass(frozen=True, slots=True)
class VoteCounts:
    """Live feedback on one version."""

    responses: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    ratings: int = 0
    rating_mean: float = 0.0
    rankings: int = 0
    edits: int = 0

    @property
    def thumbs_up_rate(self) -> float:
        """Share of thumbs that are up, in [0, 1]; NaN when there are none."""
        thumbs = self.thumbs_up + self.thumbs_down
        return self.thumbs_up / thumbs if thumbs else float("nan")
