"""Which of the held-out things are looked at, where there are more of them than there is time for."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TypeVar

Thing = TypeVar("Thing")


def draw(things: Iterable[tuple[Thing, bool]], most: int, seed: str) -> list[Thing]:
    """At most `most` of the things, in the order they came in; each comes with whether it is of the newest slice.

    All of the newest slice are in while there is room, the rest is drawn by `seed`. The first ones instead would be
    the oldest, and the same in every run: one candidate after another would be fitted to them by selection.
    """
    pairs = list(things)
    shuffled = Random(seed).sample(range(len(pairs)), len(pairs))
    taken = sorted(shuffled, key=lambda index: not pairs[index][1])[:most]
    return [pairs[index][0] for index in sorted(taken)]
