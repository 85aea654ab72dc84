"""People who vote in the harder settings: unequal noise, taste that drifts, few votes, stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from classify_rounds import CROWD, Crowd, Said
from thumbwheel.pretrain.corpus import LabelledText

_USERS = [f"user-{number:03}" for number in range(1, CROWD + 1)]


@dataclass(frozen=True)
class UnequalNoise:
    """Of votes on texts of every third label 30 % are wrong, of the others none: a tenth in all, but not by chance."""

    labels: Sequence[str]
    noise: float = 0.3

    def vote(self, served: str, asked: LabelledText, number: int, rng: Random) -> Said:
        wrong = rng.random() < (self.noise if self.labels.index(asked.label) % 3 == 0 else 0.0)
        return Said(rng.choice(_USERS), thumb_up=(served == asked.label) != wrong)


@dataclass(frozen=True)
class DriftingTaste:
    """From the answer `turns_at` on, people want for a fifth of the labels another one instead."""

    labels: Sequence[str]
    turns_at: int
    noise: float = 0.1

    def wanted(self, label: str) -> str:
        """What a text of a label is to be called after the turn: of every five labels, two change places."""
        place = self.labels.index(label)
        other = {0: place + 1, 1: place - 1}.get(place % 10, place)
        return self.labels[other] if other < len(self.labels) else label

    def vote(self, served: str, asked: LabelledText, number: int, rng: Random) -> Said:
        right = self.wanted(asked.label) if number >= self.turns_at else asked.label
        return Said(rng.choice(_USERS), thumb_up=(served == right) != (rng.random() < self.noise))


@dataclass(frozen=True)
class FewVotes:
    """Most answers get no vote; who votes is chance."""

    share: float = 0.05
    noise: float = 0.1

    def vote(self, served: str, asked: LabelledText, number: int, rng: Random) -> Said | None:
        said = Crowd(self.noise).vote(served, asked, number, rng)
        return said if rng.random() < self.share else None


@dataclass(frozen=True)
class Stars:
    """Four or five stars for what is right, one or two for what is not, three by one user in ten; a share is wrong."""

    noise: float = 0.1

    def vote(self, served: str, asked: LabelledText, number: int, rng: Random) -> Said:
        good = (served == asked.label) != (rng.random() < self.noise)
        stars = rng.choice((4, 5)) if good else rng.choice((1, 2))
        return Said(rng.choice(_USERS), rating=3 if rng.random() < 0.1 else stars)
