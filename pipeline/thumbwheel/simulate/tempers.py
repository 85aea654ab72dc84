"""Honest users with failings: what they think of an answer depends on more than how good it is.

Each wraps another user, `like`, and changes some of its thumbs; whether an answer is rated at all is left to that one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.shown import Rater, Shown


@dataclass(frozen=True, slots=True)
class LabelBias:
    """Votes `up` on a share `strength` of the answers `label` that it rates, however good they are."""

    like: Rater
    label: str
    up: bool = False
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Raise InvalidInput for a share outside of [0, 1], and without a label."""
        demand_share("strength", self.strength)
        demand_text("label", self.label)

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.like.user_id

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return the bias, or what the user thinks."""
        thumb = self.like.vote(shown, rng)
        partial = rng.random() < self.strength and shown.answer == self.label
        return self.up if partial and thumb is not None else thumb


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Votes up on a share `strength` of the answers of at least `words` words that it rates, however good they are."""

    like: Rater
    words: int = 20
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Raise InvalidInput for a share outside of [0, 1], or a number of words below 1."""
        demand_share("strength", self.strength)
        if self.words < 1:
            raise InvalidInput("words", f"must be at least 1, got {self.words}")

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.like.user_id

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return up for what is long, or what the user thinks."""
        thumb = self.like.vote(shown, rng)
        taken = rng.random() < self.strength and len(shown.answer.split()) >= self.words
        return True if taken and thumb is not None else thumb


@dataclass(frozen=True, slots=True)
class Moody:
    """In a good mood forgives, in a bad one finds fault.

    The mood is sin(2 pi (swings x passed + phase)): `swings` times up and down in all. In a mood m > 0 a thumb down is
    turned up with probability m x strength, in one below 0 a thumb up is turned down with -m x strength.
    """

    like: Rater
    swings: float = 5.0
    phase: float = 0.0
    strength: float = 0.5

    def __post_init__(self) -> None:
        """Raise InvalidInput for a share outside of [0, 1], or swings below 0."""
        demand_share("strength", self.strength)
        if not 0 <= self.swings < math.inf:
            raise InvalidInput("swings", f"must be at least 0 and finite, got {self.swings}")

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.like.user_id

    def mood(self, passed: float) -> float:
        """The mood in [-1, 1] after a share `passed` of the questions."""
        return math.sin(2 * math.pi * (self.swings * passed + self.phase))

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return what the user thinks, or what its mood makes of it."""
        thumb, mood = self.like.vote(shown, rng), self.mood(shown.passed)
        swayed = rng.random() < abs(mood) * self.strength
        return mood > 0 if swayed and thumb is not None else thumb


@dataclass(frozen=True, slots=True)
class Drifting:
    """Votes as `like` at first and as `later` in the end.

    The share of votes as `later` rises evenly from 0 to 1 over `over` of the questions, from `begins` on; 0 turns at
    once.
    """

    like: Rater
    later: Rater
    begins: float = 0.5
    over: float = 0.0

    def __post_init__(self) -> None:
        """Raise InvalidInput for a share outside of [0, 1]."""
        demand_share("begins", self.begins)
        demand_share("over", self.over)

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.like.user_id

    def turned(self, passed: float) -> float:
        """The share of votes that are as `later` after a share `passed` of the questions, in [0, 1]."""
        if self.over == 0:
            return float(passed >= self.begins)
        return min(max((passed - self.begins) / self.over, 0.0), 1.0)

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return what the user thinks by then."""
        first, last = self.like.vote(shown, rng), self.later.vote(shown, rng)
        return last if rng.random() < self.turned(shown.passed) else first


def demand_share(name: str, share: float) -> None:
    """Raise InvalidInput where a share lies outside of [0, 1]."""
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(name, f"must lie in [0, 1], got {share}")


def demand_text(name: str, text: str) -> None:
    """Raise InvalidInput where a name is missing."""
    if not text:
        raise InvalidInput(name, "must be named")
