"""Users who vote to mislead: spammers, brigades that are after a label or a version, and accounts that stay small."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.shown import Rater, Shown
from thumbwheel.simulate.tempers import demand_share


@dataclass(frozen=True, slots=True)
class Spammer:
    """Rates everything without looking: a share `ups` of the thumbs are up."""

    user_id: str = ""
    ups: float = 0.5

    def __post_init__(self) -> None:
        """Raise InvalidInput for a share outside of [0, 1]."""
        demand_share("ups", self.ups)

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return a thumb by chance."""
        return rng.random() < self.ups


@dataclass(frozen=True, slots=True)
class Flipper:
    """Rates everything that `like` would, with the opposite thumb."""

    like: Rater

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.like.user_id

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return the opposite of what the other would."""
        thumb = self.like.vote(shown, rng)
        return None if thumb is None else not thumb


@dataclass(frozen=True, slots=True)
class Brigadier:
    """One of those who agreed on a target: votes `up` or down on all of it, and elsewhere as `cover` would.

    The target is an answer, a version, or where both are named that answer by that version. `instead`, where it is
    named, is an answer that gets the opposite vote.
    """

    cover: Rater
    answer: str = ""
    version: str = ""
    up: bool = False
    instead: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidInput where nothing is aimed at."""
        if not self.answer and not self.version:
            raise InvalidInput("answer", "a brigade has a target: name an answer or a version")

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.cover.user_id

    def aims_at(self, shown: Shown) -> bool:
        """Whether an answer is the target."""
        return self.answer in ("", shown.answer) and self.version in ("", shown.version)

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return the agreed vote, or that of the cover."""
        covered = self.cover.vote(shown, rng)
        if self.aims_at(shown):
            return self.up
        return not self.up if self.instead and shown.answer == self.instead else covered


@dataclass(frozen=True, slots=True)
class Sybil:
    """One of many accounts of somebody who keeps each below a limit: rates its first `most` answers as `like` does."""

    like: Rater
    most: int = 5

    def __post_init__(self) -> None:
        """Raise InvalidInput for an account that never votes."""
        if self.most < 1:
            raise InvalidInput("most", f"must be at least 1, got {self.most}")

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self.like.user_id

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return what the one behind it wants, up to the limit."""
        thumb = self.like.vote(shown, rng)
        return thumb if shown.turn < self.most else None
