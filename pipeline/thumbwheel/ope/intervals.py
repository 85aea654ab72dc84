"""Intervals around the mean of per-answer terms.

Student's t for every day, empirical Bernstein where a guarantee without assumptions is wanted and the range of
the terms is known, the bootstrap for statistics that are no means. Shape suffix: B terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from thumbwheel.errors import InvalidInput, NotEnoughData
from thumbwheel.ope.weights import Floats


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided bounds; `low` alone is a one-sided bound of twice the miss rate."""

    value: float
    low: float
    high: float


def student_t_interval(terms_B: Floats, confidence: float = 0.95) -> Interval:
    """mean +- t(B - 1) * s / sqrt(B), s with B - 1. Student (1908).

    Right on average once the mean is nearly normal; too narrow when a few huge weights rule the terms, which is
    what the effective sample size is looked at for. Raises NotEnoughData below 2 terms.
    """
    count = _checked(terms_B, confidence)
    mean = float(terms_B.mean())
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    half = quantile * float(terms_B.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def empirical_bernstein_interval(
    terms_B: Floats, smallest: float, largest: float, confidence: float = 0.95
) -> Interval:
    """Bounds that hold for every distribution of terms in [smallest, largest], each side with half the miss rate.

    half = sqrt(2 s^2 L / B) + 7 R L / (3 (B - 1)), L = ln(2 / d), R the range, d = (1 - confidence) / 2.
    Maurer and Pontil (2009), theorem 4. Raises NotEnoughData below 2 terms, InvalidInput for a term outside.
    """
    count = _checked(terms_B, confidence)
    if float(terms_B.min()) < smallest or float(terms_B.max()) > largest:
        raise InvalidInput("terms", f"all must lie in [{smallest}, {largest}] for this interval")
    log_term = math.log(2 / ((1 - confidence) / 2))
    spread = math.sqrt(2 * float(terms_B.var(ddof=1)) * log_term / count)
    half = spread + 7 * (largest - smallest) * log_term / (3 * (count - 1))
    mean = float(terms_B.mean())
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(
    statistic: Callable[..., float],
    *columns_B: Floats,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Percentile interval of `statistic(*columns)` over answers drawn with replacement, all columns together.

    Efron and Tibshirani (1993), section 13.3. Raises NotEnoughData below 2 answers.
    """
    count = _checked(columns_B[0], confidence)
    rng = np.random.default_rng(seed)
    values = np.empty(resamples)
    for index in range(resamples):
        drawn_B = rng.integers(0, count, size=count)
        values[index] = statistic(*(column_B[drawn_B] for column_B in columns_B))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(statistic(*columns_B), float(low), float(high))


def _checked(terms_B: Floats, confidence: float) -> int:
    """The number of terms, enough of them and with a confidence that means something."""
    if not 0 < confidence < 1:
        raise InvalidInput("confidence", f"must lie between 0 and 1, got {confidence}")
    if len(terms_B) < 2:
        raise NotEnoughData(f"an interval wants at least 2 rated answers, got {len(terms_B)}")
    return len(terms_B)
