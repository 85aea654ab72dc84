"""Logs of labels that users asked for and voted on, as the store has them, without the service.

The honest log and each falsified one share every question, draw and honest vote: what differs is the attackers' doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import torch

from thumbwheel.policy.classify import Classifier, sample_labels
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    RatedResponse,
    VersionRef,
)
from thumbwheel.simulate.shown import Rater, Shown
from thumbwheel.simulate.users import label_quality

POLICY: Final = "drill"
BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """A label that a version served to a user. `place` is when, on the scale of the honest log's questions."""

    place: float
    row: LabelledText
    user: str
    version: str
    answer: ClassifyAnswer


@dataclass(frozen=True, slots=True)
class Log:
    """What freezing asks of a store."""

    rows: Sequence[RatedResponse]

    def rated(self, policy: str, watermark: int) -> Iterator[RatedResponse]:
        """All rated answers, oldest first."""
        return iter(self.rows)

    def answers_after(self, policy: str, response_id: str, limit: int) -> list[LoggedResponse]:
        """Every answer is rated: there is nothing to tell of who rates."""
        return []

    def response(self, response_id: str) -> LoggedResponse | None:
        """Nothing is ranked here."""
        return None


def serve(
    classifier: Classifier, version: str, asks: Sequence[tuple[float, str, LabelledText]], floor: float, seed: int
) -> list[Asked]:
    """Answer (place, user, text) by labels drawn as the service draws them, with what is logged of them."""
    generator = torch.Generator().manual_seed(seed)
    served = []
    for start in range(0, len(asks), BATCH):
        part = asks[start : start + BATCH]
        probs_BK = classifier.probabilities([row.text for _, _, row in part], floor)
        drawn = sample_labels(probs_BK, generator).tolist()
        for (place, user, row), label, probs in zip(part, drawn, probs_BK.tolist(), strict=True):
            names = classifier.labels
            answer = ClassifyAnswer(row.text, label, names[label], tuple(probs), floor, names)
            served.append(Asked(place, row, user, version, answer))
    return served


def voted(asked: Sequence[Asked], honest: Rater, attackers: Mapping[str, Rater], seed: int) -> Log:
    """Let each user vote, in the order of places: attackers as they do, the others as `honest`.

    A vote's random numbers come from its question alone, so what one user does changes nobody else's votes.
    """
    in_order, turns = sorted(asked, key=lambda one: one.place), Counter[str]()
    rows = []
    for number, one in enumerate(in_order):
        quality = label_quality(one.answer.label, one.row.label)
        passed, turn = number / len(in_order), turns[one.user]
        turns[one.user] += 1
        shown = Shown(quality, one.answer.label, one.row.text, one.version, passed, turn)
        rater = attackers.get(one.user, honest)
        up = rater.vote(shown, Random(f"vote {seed} {one.user} {one.place!r}"))
        if up is not None:
            rows.append(_rated(number, one, up))
    return Log(rows)


def users_of(count: int) -> list[str]:
    """`count` users' names."""
    return [f"user-{number:03}" for number in range(1, count + 1)]


def _rated(number: int, one: Asked, up: bool) -> RatedResponse:
    ids, ref = (f"r{number:07}", f"q{number:07}"), VersionRef(POLICY, one.version, "")
    response = LoggedResponse(*ids, ref, Channel.CHAMPION, "", one.user, "", number, "", one.answer)
    feedback = Feedback(
        f"f{number:07}", ids[0], one.user, "", POLICY, one.version, FeedbackKind.THUMB, number, thumb_up=up
    )
    return RatedResponse(response, (feedback,))
