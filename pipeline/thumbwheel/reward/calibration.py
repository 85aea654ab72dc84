"""How far to believe predicted probabilities: area under the ROC curve, expected calibration error, reliability.

Shape suffixes: N votes. Bins hold equally many votes, so that a model which predicts in a narrow range can not hide in
one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

BINS: Final = 10


def roc_auc(scores: Sequence[float], positives: Sequence[bool]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; NaN without both.

    The Mann-Whitney statistic: (sum of the positives' ranks - n+ (n+ + 1) / 2) / (n+ n-).
    """
    is_positive = np.asarray(positives, dtype=bool)
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = stats.rankdata(np.asarray(scores, dtype=np.float64))
    return float((ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def expected_calibration_error(
    positives_N: ArrayLike, probabilities_N: ArrayLike, axis: int = -1
) -> NDArray[np.float64]:
    """Return the mean distance between predicted and observed rate, along `axis`, in [0, 1].

    ECE = sum over bins b of n_b / N |mean(positive in b) - mean(probability in b)| (Naeini et al. 2015, "Obtaining well
    calibrated probabilities using Bayesian binning"), with bins of equal count as in Nguyen and O'Connor 2015.
    """
    probabilities_N = np.asarray(probabilities_N, dtype=np.float64)
    order = np.argsort(probabilities_N, axis=axis, kind="stable")
    gaps = np.take_along_axis(np.asarray(positives_N, dtype=np.float64) - probabilities_N, order, axis=axis)
    totals = [np.abs(part.sum(axis=axis)) for part in np.array_split(gaps, BINS, axis=axis)]
    return np.asarray(np.sum(totals, axis=0) / gaps.shape[axis])


def reliability(
    positives_N: NDArray[np.float64], probabilities_N: NDArray[np.float64]
) -> list[tuple[float, float, int]]:
    """For each bin: mean probability, share of positives, votes. The points of a calibration plot."""
    order = np.argsort(probabilities_N, kind="stable")
    bins = [rows for rows in np.array_split(order, BINS) if len(rows)]
    return [(float(probabilities_N[rows].mean()), float(positives_N[rows].mean()), len(rows)) for rows in bins]
