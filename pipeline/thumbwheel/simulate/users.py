"""Simulated users as records of how they behave; they judge an answer by its true quality, with their own failings.

A `classify` answer has quality 1 if it is the true label and 0 if not; a `tag` answer is as good as the share of its
entities that are right (F1), and 1 where there are none to find and none was found; a `generate` answer has the world's
`reply_quality`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from thumbwheel.errors import InvalidInput
from thumbwheel.gates.entities import score_entities
from thumbwheel.simulate.shown import Shown
from thumbwheel.simulate.world import PLEASING_QUALITY


@dataclass(frozen=True, slots=True)
class SimulatedUser:
    """One rater. All shares are in [0, 1]."""

    user_id: str = ""
    """Empty: anonymous."""
    noise: float = 0.1
    """Share of thumbs that are the opposite of what the user thinks."""
    rates_pleased: float = 1.0
    """Share of answers that pleased which the user rates at all."""
    rates_displeased: float = 1.0
    """Share of answers that did not please which the user rates at all; many complain more than they praise."""
    pleasing_quality: float = PLEASING_QUALITY
    """An answer of this true quality or better pleases."""

    def __post_init__(self) -> None:
        """Raise InvalidInput for a share outside of [0, 1]."""
        for name in ("noise", "rates_pleased", "rates_displeased", "pleasing_quality"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidInput(name, f"must lie in [0, 1], got {getattr(self, name)}")

    def thumb(self, quality: float, rng: Random) -> bool | None:
        """Return up (True) or down (False) for an answer of true `quality` in [0, 1]; None: not rated.

        Draws twice from `rng` whatever happens, so that other users' draws don't depend on this one's.
        """
        pleased = quality >= self.pleasing_quality
        rates = rng.random() < (self.rates_pleased if pleased else self.rates_displeased)
        wrong = rng.random() < self.noise
        return pleased != wrong if rates else None

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return the thumb for what is shown; only its quality counts."""
        return self.thumb(shown.quality, rng)


def label_quality(label: str, truth: str) -> float:
    """True quality of a `classify` answer."""
    return float(label == truth)


def tags_quality(tags: Sequence[str], truth: Sequence[str]) -> float:
    """True quality of a `tag` answer: F1 of its entities. 0 for another number of tags."""
    if len(tags) != len(truth):
        return 0.0
    score = score_entities([truth], [tags])[""]
    return score.f1 if score.there or score.found else 1.0


def crowd_of(count: int, behaviour: SimulatedUser | None = None) -> Sequence[SimulatedUser]:
    """`count` users who behave alike, `user-001` and so on. Raises InvalidInput for fewer than one."""
    if count < 1:
        raise InvalidInput("count", f"a crowd has at least 1 user, got {count}")
    like = behaviour or SimulatedUser()
    return [replace(like, user_id=f"user-{number:03}") for number in range(1, count + 1)]
