"""What reward to expect of labels that were not served, for the doubly robust gate.

The prediction uses three numbers of a label: how likely the champion and the candidate make it, and whether the
candidate makes it much likelier. Held-out votes tell how much each of them is worth; a candidate whose probabilities
say nothing about votes gets no credit for new labels.

Shape suffixes: N votes, K labels.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from thumbwheel.gates.evidence import Floats
from thumbwheel.ope.outcome_model import cross_fitted, deal_folds
from thumbwheel.ope.weights import Indices

LEAST_PROBABILITY = 1e-6
# By so much a label's probability rises that it counts as one that the candidate turns to.
RAISED = 3.0


def predict_rewards(
    champion_NK: Floats,
    candidate_NK: Floats,
    labels_N: Indices,
    rewards_N: Floats,
    raters_N: Sequence[Hashable] | None = None,
) -> Floats:
    """Expected reward of every label for every vote's text, (N, K), cross-fitted by rater.

    log odds of the reward = a + b * log odds of the champion + c * log odds of the candidate, + d where the candidate
    turns to the label. No vote's own reward enters its prediction, nor that of another vote by its rater; without
    `raters_N` each vote has a rater of its own.
    """
    features_NKF = label_features(champion_NK, candidate_NK)
    fold_N = deal_folds(range(len(labels_N)) if raters_N is None else raters_N)
    return cross_fitted(features_NKF, labels_N, rewards_N, fold_N)


def label_features(champion_NK: Floats, candidate_NK: Floats) -> Floats:
    """What is known of each label, (N, K, 3): its log odds in both versions, and whether the candidate turns to it.

    Without the third, votes down on what the candidate leaves would speak for what it turns to, of which few votes
    tell; with it those few have a coefficient of their own, whose uncertainty is in the interval.
    """
    raised_NK = (candidate_NK > RAISED * champion_NK).astype(np.float64)
    return np.stack([_log_odds(champion_NK), _log_odds(candidate_NK), raised_NK], axis=-1)


def _log_odds(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    return np.asarray(np.log(p / (1.0 - p)))
