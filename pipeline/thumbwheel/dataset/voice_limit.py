"""No small group of raters has much of the say on anything, however often its members vote.

How many votes a rater may give (`rater_cap.py`) is one number for every log: below it, ten who vote two hundred times
outvote a thousand who vote once. Here the limit follows from the log. On each target, a label say, a rater's weight is
at most C, the largest C at which the `BRIGADE` share of all raters with most weight on it has at most `MOST` of it; but
no less than the median rater's weight, so where all vote alike nobody is cut. On all votes together the `FIFTH` with
most weight has at most `MOST_OF_FIFTH` besides, so that who goes along with others can be told even where many are in
league. Bounding what each user contributes, and finding the bound in the data: Amin, Kulesza, Munoz and Vassilvitskii
(2019), "Bounding user contributions".

What follows: let k be that many raters, n those who voted on a target, w their weights on it after this, R the weighted
mean vote in [0, 1], and B any k of them. With s = w(B) / w(all), R = s R_B + (1 - s) R_others, so B moves R by
s |R_B - R_others| <= s. And s <= max(MOST, 2 k / n): where C is not the median, s <= MOST by construction; where it is,
w(B) <= k C, while at least half of the n raters have C, so w(all) >= n C / 2.

Shape suffixes: N votes, R raters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BRIGADE: Final = 0.05
"""The share of all raters who may be in league."""
MOST: Final = 0.15
"""The share of the weight on a target that so many have at most."""
FIFTH: Final = 0.2
"""A larger share of all raters."""
MOST_OF_FIFTH: Final = 1 / 3
"""The share of all weight that so many have at most."""

_HALVINGS = 50


def limit_voices(weights_N: Floats, raters_N: Sequence[str], targets_N: Sequence[Hashable] = ()) -> Floats:
    """Scale weights (at least 0) down to the limits: of each rater on all votes, then of each rater on each target.

    Without targets only the first. What is last holds exactly: the bound is on targets.
    """
    rater_N, raters = _numbered(raters_N)
    brigade = brigade_of(raters)
    fifth = math.ceil(FIFTH * raters)
    limited_N = _limit(weights_N, rater_N, raters, {brigade: MOST, fifth: MOST_OF_FIFTH})
    target_N, targets = _numbered(targets_N)
    for target in range(targets):
        here_N = target_N == target
        limited_N[here_N] = _limit(limited_N[here_N], rater_N[here_N], raters, {brigade: MOST})
    return limited_N


def one_voice(raters_N: Sequence[str], said_of_N: Sequence[Hashable]) -> Floats:
    """1 / how often the same rater voted on the very same thing, (N,): to say it again says no more.

    Votes of raters without a name weigh 1: nobody knows who said what.
    """
    times = Counter(zip(raters_N, said_of_N, strict=True))
    pairs = zip(raters_N, said_of_N, strict=True)
    return np.array([1 / times[rater, thing] if rater else 1.0 for rater, thing in pairs], dtype=np.float64)


def most_votes(raters_N: Sequence[str]) -> int:
    """The limit in whole votes, at least 1: for where votes can't be weighed and each rater's newest so many stay."""
    counts_R = np.array(list(Counter(raters_N).values()), dtype=np.float64)
    allowed = {brigade_of(len(counts_R)): MOST, math.ceil(FIFTH * len(counts_R)): MOST_OF_FIFTH}
    return max(1, int(_level(counts_R, allowed))) if len(counts_R) else 1


def brigade_of(raters: int) -> int:
    """How many raters are `BRIGADE` of so many: rounded up."""
    return math.ceil(BRIGADE * raters)


def largest_say(weights_N: Floats, raters_N: Sequence[str], brigade: int) -> float:
    """The largest share of the weight that any `brigade` raters have, in [0, 1]; 0 where there is none."""
    rater_N, raters = _numbered(raters_N)
    totals_R = np.bincount(rater_N, weights=weights_N, minlength=raters).astype(np.float64)
    return _share_of_top(totals_R, brigade) if totals_R.any() else 0.0


def bound_on_say(members: int, voters: int, raters: int) -> float:
    """The largest share of a target's weight that a group has: `members` of all `raters`, `voters` voted on the target.

    max(MOST, 2 k / n) for as many as `BRIGADE` allows; of a larger group no member has more on average than the k
    heaviest, so MOST grows with its size. At most 1.
    """
    if not voters:
        return 1.0
    return min(1.0, max(MOST * max(1.0, members / brigade_of(raters)), 2 * members / voters))


def _limit(weights_N: Floats, rater_N: Indices, raters: int, allowed: Mapping[int, float]) -> Floats:
    """The weights on one target, each rater's scaled so that they sum to at most the limit.

    `allowed`: the share of the weight that so many raters have at most.
    """
    totals_R = np.bincount(rater_N, weights=weights_N, minlength=raters).astype(np.float64)
    if not totals_R.any():
        return weights_N.copy()
    level = _level(totals_R[totals_R > 0], allowed)
    scale_R = np.divide(level, totals_R, out=np.ones(raters), where=totals_R > level)
    return np.asarray(weights_N * scale_R[rater_N])


def _level(totals_R: Floats, allowed: Mapping[int, float]) -> float:
    """The limit C. The top's share of what is left below C grows in C, so halving finds it."""

    def fits(limit: float) -> bool:
        left_R = np.minimum(totals_R, limit)
        return all(_share_of_top(left_R, top) <= share for top, share in allowed.items())

    least, most = float(np.median(totals_R)), float(totals_R.max())
    if fits(most) or not fits(least):
        return most if fits(most) else least
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least


def _share_of_top(totals_R: Floats, brigade: int) -> float:
    return float(np.sort(totals_R)[::-1][:brigade].sum() / totals_R.sum())


def _numbered(names: Sequence[Hashable]) -> tuple[Indices, int]:
    """A number for each name, from 0 on in the order in which they come, (N,); and how many there are."""
    known: dict[Hashable, int] = {}
    numbers = [known.setdefault(name, len(known)) for name in names]
    return np.array(numbers, dtype=np.int64), len(known)
