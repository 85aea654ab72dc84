"""When the reward model says 80%, do 80% vote up?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Floats, GenerateEvidence, as_floats
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.gates.reward_auc import unusable
from thumbwheel.ope.intervals import Interval, bootstrap
from thumbwheel.records import GateResult

BINS = 10


class RewardCalibration:
    """Expected calibration error of the reward model on held-out votes, with a bootstrap interval.

    The interval leans upwards, since resampling adds noise to every bin; the threshold holds the value itself.
    """

    name = "reward_calibration"
    title = "Reward model is honest"
    rule = Rule.AT_MOST
    unit = "ECE"
    why = "An over-confident reward model makes PPO chase differences that users do not see."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare predicted with observed shares of thumbs up."""
        votes = evidence.reward_model
        problem = unusable(votes)
        probabilities_N = as_floats(votes.probabilities)
        if not problem and (probabilities_N.min() < 0.0 or probabilities_N.max() > 1.0):
            problem = "The reward model's probabilities leave the range from 0 to 1."
        if problem:
            return refuse(self.name, limits.max_reward_ece, problem)
        error = calibration_error(as_floats(votes.thumbs_up), probabilities_N, limits.confidence)
        sentence = (
            f"The reward model's predicted share of thumbs up is off by {error.value:.1%} on average "
            f"over {len(probabilities_N):,} held-out votes."
        )
        passed = holds(self.rule, error, limits.max_reward_ece)
        return GateResult(self.name, passed, error.value, limits.max_reward_ece, error.low, error.high, sentence)


def calibration_error(thumbs_up_N: Floats, probabilities_N: Floats, confidence: float) -> Interval:
    """Expected calibration error over 10 bins of equal count (Nguyen & O'Connor 2015), in [0, 1].

    ECE = sum over bins b of n_b / n * |mean(thumbs_up in b) - mean(probability in b)|. Bins of equal count keep
    a model that predicts in a narrow range from hiding in one bin.
    """
    return bootstrap(_ece, thumbs_up_N, probabilities_N, confidence=confidence)


def reliability(thumbs_up_N: Floats, probabilities_N: Floats) -> list[tuple[float, float, int]]:
    """For each bin of equal count: mean probability, share of thumbs up, votes. The points of a calibration plot."""
    order = np.argsort(probabilities_N, kind="stable")
    bins = [rows for rows in np.array_split(order, BINS) if len(rows)]
    return [(float(probabilities_N[rows].mean()), float(thumbs_up_N[rows].mean()), len(rows)) for rows in bins]


def _ece(thumbs_up_N: Floats, probabilities_N: Floats, axis: int = -1) -> NDArray[np.float64]:
    """ECE along the last axis; leading axes are resamples."""
    order = np.argsort(probabilities_N, axis=axis, kind="stable")
    gaps = np.take_along_axis(thumbs_up_N - probabilities_N, order, axis=axis)
    totals = [np.abs(part.sum(axis=axis)) for part in np.array_split(gaps, BINS, axis=axis)]
    return np.asarray(np.sum(totals, axis=0) / gaps.shape[axis])
