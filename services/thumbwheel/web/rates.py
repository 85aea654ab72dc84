"""How sure a thumbs-up rate is, and how to draw it."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Two-sided 95 % quantile of the standard normal distribution.
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of thumbs that are up, with its 95 % interval; all in [0, 1]."""

    value: float
    low: float
    high: float
    thumbs: int


def thumbs_up_rate(up: int, down: int, z: float = _Z95) -> Rate | None:
    """Return the rate of thumbs up with its Wilson score interval; None without a thumb.

    low, high = (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    (E. B. Wilson, JASA 22, 1927: it stays within [0, 1] and holds for few votes, where p +- z s.e. does not).
    """
    thumbs = up + down
    if thumbs == 0:
        return None
    share = up / thumbs
    shrink = 1 + z * z / thumbs
    centre = (share + z * z / (2 * thumbs)) / shrink
    half = z * math.sqrt(share * (1 - share) / thumbs + z * z / (4 * thumbs * thumbs)) / shrink
    return Rate(share, max(0.0, centre - half), min(1.0, centre + half), thumbs)
