"""How raters falsify a log of labels: what they vote, how often they ask, and about what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from thumbwheel.simulate.poisoners import Brigadier, Flipper, Sybil
from thumbwheel.simulate.shown import Rater
from thumbwheel.simulate.users import SimulatedUser

SHARES: Final = (0.01, 0.05, 0.2)
"""Shares of the raters that falsify."""


@dataclass(frozen=True, slots=True)
class Target:
    """What attackers are after: answers `label`, put in the place of the answers `instead`, or a version's answers."""

    label: str
    instead: str
    version: str


@dataclass(frozen=True, slots=True)
class Poison:
    """A way to falsify. `busy`: attackers ask so many times as often; `aims`: the share of what they ask more that is
    about texts whose right label is the target's `instead`. `aimed`: it has a target, whose reward must hardly move.
    """

    name: str
    about: str
    make: Callable[[SimulatedUser, Target], Rater]
    busy: int = 1
    aims: float = 0.0
    aimed: bool = False


def _down(like: SimulatedUser, target: Target) -> Rater:
    return Brigadier(like, answer=target.label)


def _version(like: SimulatedUser, target: Target) -> Rater:
    return Brigadier(like, version=target.version)


def _replace(like: SimulatedUser, target: Target) -> Rater:
    return Brigadier(like, answer=target.label, up=True, instead=target.instead)


KINDS: Final = (
    Poison("flipped", "vote the opposite of what they think", lambda like, target: Flipper(like)),
    Poison("busy", "the same, five times as often as others", lambda like, target: Flipper(like), busy=5),
    Poison("sybils", "the same, and none votes more than five times", lambda like, target: Sybil(Flipper(like), 5)),
    Poison("label", "vote a label down, honestly on the rest", _down, aimed=True),
    Poison("version", "vote a version's answers down, honestly on the rest", _version),
    Poison(
        "colluding",
        "vote one label up and the right one of its texts down, and ask five times as often, mostly for it",
        _replace,
        busy=5,
        aims=0.7,
        aimed=True,
    ),
)
