"""How far to believe predicted probabilities: area under the ROC curve, expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def roc_auc(scores: Sequence[float], positives: Sequence[bool]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; NaN without both.

    The Mann-Whitney statistic: (sum of the positives' ranks - n+ (n+ + 1) / 2) / (n+ n-).
    """
    is_positive = np.asarray(positives, dtype=bool)
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = _mean_ranks(np.asarray(scores, dtype=np.float64))
    return float((ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def expected_calibration_error(probabilities: Sequence[float], positives: Sequence[bool], bins: int = 10) -> float:
    """Return the mean distance between predicted and observed rate over equally filled bins, in [0, 1].

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", with equal-mass bins.
    """
    predicted = np.asarray(probabilities, dtype=np.float64)
    observed = np.asarray(positives, dtype=np.float64)[np.argsort(predicted, kind="stable")]
    predicted = np.sort(predicted)
    gaps = [
        len(p) * abs(p.mean() - o.mean())
        for p, o in zip(np.array_split(predicted, bins), np.array_split(observed, bins), strict=True)
        if len(p)
    ]
    return float(sum(gaps) / len(predicted))


def _mean_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal scores share the mean of their ranks."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - (counts - 1) / 2)[inverse]).astype(np.float64)
