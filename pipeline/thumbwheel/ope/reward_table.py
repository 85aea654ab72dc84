"""A small reward prediction for the direct method and the doubly robust estimator.

The predicted reward of a label is the mean reward of logged answers whose label had a similar logged probability:
a calibration curve of the policy that was logged. It needs nothing but the log.

Shape suffixes: B logged answers, K labels.
"""

from __future__ import annotations

import numpy as np

from thumbwheel.ope.weights import Floats, Indices


def predict_rewards(
    logged_BK: Floats, actions_B: Indices, rewards_B: Floats, seed: int, bins: int = 20, folds: int = 5
) -> Floats:
    """Predicted reward of every label for every answer, (B, K), cross-fitted.

    No answer's own reward enters its prediction (Chernozhukov et al. (2018), definition 3.1): the answers are
    dealt into `folds`, and each fold is predicted from the others.
    """
    chosen_B = logged_BK[np.arange(len(actions_B)), actions_B]
    fold_B = np.random.default_rng(seed).permutation(len(actions_B)) % folds
    predicted_BK = np.empty(logged_BK.shape, dtype=np.float64)
    for fold in range(folds):
        others_B = fold_B != fold
        edges, means = _calibration(chosen_B[others_B], rewards_B[others_B], bins)
        predicted_BK[~others_B] = means[np.searchsorted(edges, logged_BK[~others_B], side="right")]
    return predicted_BK


def _calibration(chosen_B: Floats, rewards_B: Floats, bins: int) -> tuple[Floats, Floats]:
    """Inner bin edges (quantiles of the logged probability) and the mean reward in each bin.

    Every mean is drawn towards the overall mean by one answer's weight, so that an empty bin has a value.
    """
    if len(chosen_B) == 0:
        return np.empty(0), np.zeros(1)
    edges = np.unique(np.quantile(chosen_B, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_B = np.searchsorted(edges, chosen_B, side="right")
    sums = np.bincount(bin_B, weights=rewards_B, minlength=len(edges) + 1)
    counts = np.bincount(bin_B, minlength=len(edges) + 1)
    return edges, (sums + rewards_B.mean()) / (counts + 1)
