"""Intervals of statistics that are no plain means; those of means are in `ope.intervals`.

All intervals are two-sided at the given confidence, so that at 0.95 a lower bound is wrong in one case of forty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from thumbwheel.gates.evidence import Floats
from thumbwheel.ope.intervals import Interval

RESAMPLES = 2_000
SEED = 20_260_101


def wilson(hits: int, trials: int, confidence: float) -> Interval:
    """Share of hits with Wilson's score interval (Wilson 1927), which stays honest near 0 and 1."""
    found = stats.binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    return Interval(hits / trials, float(found.low), float(found.high))


def bootstrap(
    statistic: Callable[..., NDArray[np.float64]], *columns: Floats, confidence: float, paired: bool = True
) -> Interval:
    """Percentile bootstrap (Efron 1979) of a statistic that takes columns and `axis`, seeded.

    Rows are drawn together when `paired`, so that entry i of every column stays with its companions. Resamples are
    computed a hundred at a time (more go through memory and take longer): the statistic sees leading axes.
    """
    found = stats.bootstrap(
        columns,
        statistic,
        n_resamples=RESAMPLES,
        paired=paired,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        batch=100,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(float(statistic(*columns, axis=-1)), float(found.low), float(found.high))


def delong(is_up_N: NDArray[np.bool_], scores_N: Floats, confidence: float) -> Interval:
    """Area under the ROC curve with DeLong's interval, from midranks (Sun & Xu 2014, equations 5 and 12).

    V10 holds, for each vote up, the share of votes down it outranks; V01, for each vote down, the share of votes
    up that outrank it. AUC = mean V10, and its variance is var(V10)/ups + var(V01)/downs.
    """
    up_M, down_N = scores_N[is_up_N], scores_N[~is_up_N]
    ranks = stats.rankdata(np.concatenate([up_M, down_N]))
    wins_M = (ranks[: len(up_M)] - stats.rankdata(up_M)) / len(down_N)
    losses_N = 1.0 - (ranks[len(up_M) :] - stats.rankdata(down_N)) / len(up_M)
    auc = float(wins_M.mean())
    error = float(np.sqrt(wins_M.var(ddof=1) / len(up_M) + losses_N.var(ddof=1) / len(down_N)))
    reach = error * float(stats.norm.ppf(0.5 + confidence / 2))
    return Interval(auc, max(0.0, auc - reach), min(1.0, auc + reach))
