"""How far to believe predicted probabilities: area under the ROC curve, expected calibration error, reliability.

Shape suffixes: N votes, K members of an ensemble. Bins hold equally many votes, so that a model which predicts in a
narrow range can not hide in one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

BINS: Final = 10

_COOLEST, _HOTTEST = 0.05, 20.0
_NEWTON_STEPS = 25


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps a logit z to the probability sigma(z / temperature + bias). A temperature above 1 tempers confidence."""

    temperature: float = 1.0
    bias: float = 0.0

    def probabilities(self, logits_N: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of a thumb up of each logit."""
        return np.asarray(scipy.special.expit(np.asarray(logits_N, dtype=np.float64) / self.temperature + self.bias))


def calibrate(logits_N: ArrayLike, positives_N: ArrayLike) -> Calibration:
    """Fit temperature and bias to logits of votes that were not learned from: the most likely ones, by Newton's method.

    Guo et al. 2017, arXiv 1706.04599, "On calibration of modern neural networks", section 4.2, with the bias of Platt
    1999. The targets are Platt's, (n+ + 1) / (n+ + 2) and 1 / (n- + 2), so that the optimum is finite. Without votes of
    both sides, or where logits and votes go apart, nothing is known: the logits stay as they are.
    """
    z_N, up_N = np.asarray(logits_N, dtype=np.float64), np.asarray(positives_N, dtype=bool)
    ups, downs = int(up_N.sum()), int((~up_N).sum())
    if not ups or not downs:
        return Calibration()
    target_N = np.where(up_N, (ups + 1) / (ups + 2), 1 / (downs + 2))
    x_N2 = np.stack([z_N, np.ones_like(z_N)], axis=1)
    weights_2 = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        p_N = scipy.special.expit(x_N2 @ weights_2)
        curvature_22 = (x_N2 * (p_N * (1 - p_N))[:, None]).T @ x_N2 + 1e-9 * np.eye(2)
        weights_2 += np.clip(np.linalg.solve(curvature_22, x_N2.T @ (target_N - p_N)), -1.0, 1.0)
    slope, bias = weights_2
    return Calibration(float(np.clip(1 / slope, _COOLEST, _HOTTEST)), float(bias)) if slope > 0 else Calibration()


def of_the_mean(single: Calibration, logits_NK: ArrayLike) -> Calibration:
    """Return the calibration of the members' mean logit, from one that was fitted to `single` members' logits.

    Members err each in its own way, so their mean goes along with votes as any of them does, and spreads less: by
    r = Var(mean) / (1/K) sum over k of Var(z_k). The slope of votes on it, covariance over variance, is 1 / r times as
    steep, and the temperature is r times as high; the mean logit keeps its probability. What leaves logits as they are
    still does.
    """
    z_NK = np.asarray(logits_NK, dtype=np.float64)
    if single == Calibration() or not (spread := float(z_NK.var(0).mean())):
        return single
    cooler = float(np.clip(single.temperature * z_NK.mean(1).var() / spread, _COOLEST, _HOTTEST))
    return Calibration(cooler, single.bias + float(z_NK.mean()) * (1 / single.temperature - 1 / cooler))


def roc_auc(scores: Sequence[float], positives: Sequence[bool]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; NaN without both.

    The Mann-Whitney statistic: (sum of the positives' ranks - n+ (n+ + 1) / 2) / (n+ n-).
    """
    is_positive = np.asarray(positives, dtype=bool)
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = scipy.stats.rankdata(np.asarray(scores, dtype=np.float64))
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
