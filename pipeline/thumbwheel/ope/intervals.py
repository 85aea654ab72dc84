"""Intervals: of a mean (Student's t), of a share (Wilson), of an AUC (DeLong), of anything else (the bootstrap).

`bounded` has those of a mean that hold at any size, for terms whose range is known.
All are two-sided at the given confidence, so that at 0.95 a lower bound is wrong in one case of forty. A confidence
that is not between 0 and 1 raises InvalidInput.
`scipy` loads its statistics, slow to load and large, when an interval is first computed: who only lists gates has none.
Shape suffixes: B terms, N votes, M votes up, L votes down.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from thumbwheel.errors import InvalidInput, NotEnoughData
from thumbwheel.ope.weights import Floats

RESAMPLES = 2_000
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided bounds; `low` alone is a one-sided bound of half the miss rate."""

    value: float
    low: float
    high: float


def student_t_interval(terms_B: Floats, confidence: float = 0.95) -> Interval:
    """mean +- t(B - 1) * s / sqrt(B), s with B - 1. Student (1908).

    Right on average once the mean is nearly normal; too narrow when a few huge weights rule the terms, which is
    what the effective sample size is looked at for. Raises NotEnoughData below 2 terms.
    """
    check_confidence(confidence)
    if (count := len(terms_B)) < 2:
        raise NotEnoughData(f"an interval wants at least 2 rated answers, got {count}")
    mean = float(terms_B.mean())
    quantile = float(scipy.stats.t.ppf((1 + confidence) / 2, count - 1))
    half = quantile * float(terms_B.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def wilson(hits: int, trials: int, confidence: float) -> Interval:
    """Share of hits with Wilson's score interval (Wilson 1927), which stays honest near 0 and 1."""
    check_confidence(confidence)
    found = scipy.stats.binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    return Interval(hits / trials, float(found.low), float(found.high))


def bootstrap(
    statistic: Callable[..., NDArray[np.float64]],
    *columns: Floats,
    confidence: float,
    paired: bool = True,
    method: Literal["percentile", "BCa"] = "percentile",
) -> Interval:
    """Bootstrap of a statistic that takes columns and `axis`, seeded: percentile (Efron 1979) or BCa.

    BCa shifts the percentiles by the median's bias and by how the spread grows with the value (Efron 1987, "Better
    bootstrap confidence intervals"), which follows skewed terms, as weighted rewards are. Rows are drawn together when
    `paired`, so that entry i of every column stays with its companions. Resamples are computed a hundred at a time
    (more go through memory and take longer): the statistic sees leading axes. Where resamples are all alike the
    interval is a point.
    """
    check_confidence(confidence)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)  # the point interval below says it
        found = scipy.stats.bootstrap(
            columns,
            statistic,
            n_resamples=RESAMPLES,
            paired=paired,
            vectorized=True,
            confidence_level=confidence,
            method=method,
            batch=100,
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    value = float(statistic(*columns, axis=-1))
    if math.isnan(found.low) and math.isfinite(value):
        return Interval(value, value, value)
    return Interval(value, float(found.low), float(found.high))


def delong(is_up_N: NDArray[np.bool_], scores_N: Floats, confidence: float) -> Interval:
    """Area under the ROC curve with DeLong's interval, from midranks (Sun & Xu 2014, equations 5 and 12).

    V10 holds, for each vote up, the share of votes down it outranks; V01, for each vote down, the share of votes
    up that outrank it. AUC = mean V10, and its variance is var(V10)/ups + var(V01)/downs.
    """
    check_confidence(confidence)
    up_M, down_L = scores_N[is_up_N], scores_N[~is_up_N]
    ranks_N = scipy.stats.rankdata(np.concatenate([up_M, down_L]))
    v10_M = (ranks_N[: len(up_M)] - scipy.stats.rankdata(up_M)) / len(down_L)
    v01_L = 1.0 - (ranks_N[len(up_M) :] - scipy.stats.rankdata(down_L)) / len(up_M)
    auc = float(v10_M.mean())
    error = float(np.sqrt(v10_M.var(ddof=1) / len(up_M) + v01_L.var(ddof=1) / len(down_L)))
    reach = error * float(scipy.stats.norm.ppf(0.5 + confidence / 2))
    return Interval(auc, max(0.0, auc - reach), min(1.0, auc + reach))


def check_confidence(confidence: float) -> None:
    """Raise InvalidInput unless `confidence` is between 0 and 1."""
    if not 0 < confidence < 1:
        raise InvalidInput("confidence", f"must lie between 0 and 1, got {confidence}")
