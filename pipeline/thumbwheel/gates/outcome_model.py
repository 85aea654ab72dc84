"""What reward to expect of labels that were not served, for the doubly robust gate.

The prediction uses two numbers of a label: how likely the champion and the candidate make it. Held-out votes tell how
much each of them is worth; a candidate whose probabilities say nothing about votes gets no credit for new labels.

Shape suffixes: N votes, K labels.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from thumbwheel.gates.evidence import Floats
from thumbwheel.ope.weights import Indices

FOLDS = 5
SEED = 20_260_101
LEAST_PROBABILITY = 1e-6


def predict_rewards(champion_NK: Floats, candidate_NK: Floats, labels_N: Indices, rewards_N: Floats) -> Floats:
    """Expected reward of every label for every vote's text, (N, K), cross-fitted.

    log odds of the reward = a + b * log odds of the champion + c * log odds of the candidate, with rewards brought
    to [0, 1] by their range. No vote's own reward enters its prediction (Chernozhukov et al. 2018, definition 3.1).
    """
    low, high = float(rewards_N.min()), float(rewards_N.max())
    features_NKF = np.stack([_log_odds(champion_NK), _log_odds(candidate_NK)], axis=-1)
    served_NF = features_NKF[np.arange(len(labels_N)), labels_N]
    share_N = (rewards_N - low) / (high - low) if high > low else np.full(len(rewards_N), 0.5)
    fold_N = np.random.default_rng(SEED).permutation(len(labels_N)) % FOLDS
    predicted_NK = np.empty_like(champion_NK, dtype=np.float64)
    for fold in range(FOLDS):
        model = _fit(served_NF[fold_N != fold], share_N[fold_N != fold])
        rows_MF = features_NKF[fold_N == fold].reshape(-1, 2)
        predicted_NK[fold_N == fold] = model.predict_proba(rows_MF)[:, 1].reshape(-1, champion_NK.shape[1])
    return np.asarray(low + (high - low) * predicted_NK)


def _fit(features_MF: Floats, share_M: Floats) -> LogisticRegression:
    """Logistic regression on shares: each vote counts as a success by its share and as a failure by the rest.

    One success and one failure of no particular label are added, so that votes all alike can be fitted too.
    """
    middle_F = features_MF.mean(axis=0, keepdims=True)
    rows = np.concatenate([features_MF, middle_F, features_MF, middle_F])
    outcome = np.repeat([1, 0], len(features_MF) + 1)
    weight = np.concatenate([share_M, [1.0], 1.0 - share_M, [1.0]])
    return LogisticRegression().fit(rows, outcome, sample_weight=weight)


def _log_odds(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    return np.asarray(np.log(p / (1.0 - p)))
