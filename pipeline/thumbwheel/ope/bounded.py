"""Intervals of a mean that hold at any size, without assuming it normal, for independent terms of a known range.

Both are two-sided at the given confidence. They are right where Student's t is not: few terms, most of them 0, rare
large ones unseen so far. The price is width, which grows with the range; at a range of 1 and some hundred terms the
betting interval costs little.

Shape suffixes: B terms.
"""

from __future__ import annotations

import math

import numpy as np

from thumbwheel.errors import InvalidInput, NotEnoughData
from thumbwheel.ope.intervals import Interval, check_confidence
from thumbwheel.ope.weights import Floats

# How near to ruin a bet may go: it never stakes more than this share of what is left.
LARGEST_STAKE = 0.5
_HALVINGS = 40


def empirical_bernstein(terms_B: Floats, low: float, high: float, confidence: float = 0.95) -> Interval:
    """mean +- (s sqrt(2 ln(2/d) / B) + 7 (high - low) ln(2/d) / (3 (B - 1))), d = (1 - confidence) / 2, s with B - 1.

    Maurer and Pontil (2009), "Empirical Bernstein bounds and sample variance penalization", theorem 4, once for each
    side, scaled to the terms' range [low, high], and cut off there.
    Raises NotEnoughData below 2 terms, InvalidInput for a term out of range.
    """
    _check(terms_B, low, high, confidence)
    count, mean = len(terms_B), float(terms_B.mean())
    doubt = math.log(4 / (1 - confidence))
    spread = float(terms_B.std(ddof=1)) * math.sqrt(2 * doubt / count)
    half = spread + 7 * (high - low) * doubt / (3 * (count - 1))
    return Interval(mean, max(low, mean - half), min(high, mean + half))


def betting(terms_B: Floats, low: float, high: float, confidence: float = 0.95) -> Interval:
    """The means that a gambler who bets against them does not get rich by: the hedged capital interval.

    Waudby-Smith and Ramdas (2021, arXiv 2010.09686), "Estimating means of bounded random variables by betting", theorem
    3 with the stakes for a fixed size: half the capital bets that the mean is above m, half that it is below, and m is
    ruled out once either half has grown 2 / (1 - confidence) times. The terms are looked at in their order, which must
    not depend on their values.
    Raises NotEnoughData below 2 terms, InvalidInput for a term out of range.
    """
    _check(terms_B, low, high, confidence)
    shares_B = (terms_B - low) / (high - low)
    stakes_B = _stakes(shares_B, confidence)
    rich = math.log(2 / (1 - confidence))
    below = _least_standing(shares_B, stakes_B, rich)
    above = 1.0 - _least_standing(1.0 - shares_B, stakes_B, rich)
    return Interval(float(terms_B.mean()), low + (high - low) * below, low + (high - low) * above)


def _stakes(shares_B: Floats, confidence: float) -> Floats:
    """lambda_t = sqrt(2 ln(2 / alpha) / (B v_{t-1})), v the variance of what was seen before t, one of 1/4 added.

    The same paper's predictable plug-in of the empirical Bernstein bound, for a sample of fixed size.
    """
    steps_B = np.arange(1, len(shares_B) + 1)
    means_B = (0.5 + shares_B.cumsum()) / (steps_B + 1)
    variances_B = (0.25 + np.square(shares_B - means_B).cumsum()) / (steps_B + 1)
    before_B = np.concatenate([[0.25], variances_B[:-1]])
    return np.sqrt(2 * math.log(2 / (1 - confidence)) / (len(shares_B) * before_B))


def _least_standing(shares_B: Floats, stakes_B: Floats, rich: float) -> float:
    """The least m in [0, 1] by which betting on more never made rich; the capital falls in m, so halving finds it."""
    if _best_log_capital(shares_B, stakes_B, 0.0) < rich:
        return 0.0
    ruled_out, stands = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (ruled_out + stands) / 2
        if _best_log_capital(shares_B, stakes_B, middle) >= rich:
            ruled_out = middle
        else:
            stands = middle
    return ruled_out


def _best_log_capital(shares_B: Floats, stakes_B: Floats, mean: float) -> float:
    """max_t sum_{i <= t} ln(1 + min(lambda_i, c / m) (x_i - m)): the most that betting on more than m had, in logs."""
    most = LARGEST_STAKE / mean if mean > 0 else math.inf
    return float(np.log1p(np.minimum(stakes_B, most) * (shares_B - mean)).cumsum().max())


def _check(terms_B: Floats, low: float, high: float, confidence: float) -> None:
    check_confidence(confidence)
    if not low < high:
        raise InvalidInput("low", f"must lie below high, got {low} and {high}")
    if (count := len(terms_B)) < 2:
        raise NotEnoughData(f"an interval wants at least 2 rated answers, got {count}")
    if not (terms_B.min() >= low and terms_B.max() <= high):
        raise InvalidInput("terms", f"must lie from {low:g} to {high:g}: widen the range, or clip the weights")
