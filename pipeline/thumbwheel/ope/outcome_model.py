"""A prediction of the reward of every label, of which no vote has seen its own reward, nor its user's other votes.

The direct method and the doubly robust estimator want such predictions. Fitted on the votes that they are used on, a
model would repeat the votes' luck; therefore users are dealt into folds, and each fold is predicted by a model of the
others (cross-fitting: Chernozhukov et al. 2018, "Double/debiased machine learning", definition 3.1).

Shape suffixes: N votes, K labels, F features of a label, M votes of the other folds.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from thumbwheel.errors import InvalidInput
from thumbwheel.ope.weights import Floats, Indices

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FOLDS = 5
SEED = 20_260_101
# Half the square of every coefficient but the constant, times this, is added to the log loss of all votes.
PENALTY = 1.0
# A single user's votes tell nothing of others.
LEAST_USERS = 2


def deal_folds(users_N: Sequence[Hashable], folds: int = FOLDS, seed: int = SEED) -> Indices:
    """The fold of each vote, (N,): all votes of a user in one, folds of about as many votes; the same for a seed.

    Users, busiest first and else in drawn order, each into the fold that has fewest votes so far. Fewer users than
    `folds` make fewer folds. Where all votes are one user's they are dealt singly: there are no others to learn from.
    Raises InvalidInput below 2 folds.
    """
    if folds < 2:
        raise InvalidInput("folds", f"it takes at least 2, got {folds}")
    known: dict[Hashable, list[int]] = {}
    for row, user in enumerate(users_N):
        known.setdefault(user, []).append(row)
    rows_of = list(known.values()) if len(known) >= LEAST_USERS else [[row] for row in range(len(users_N))]
    drawn = np.random.default_rng(seed).permutation(len(rows_of))
    fold_N, votes = np.zeros(len(users_N), dtype=np.int64), np.zeros(min(folds, max(1, len(rows_of))), dtype=np.int64)
    for user in sorted(drawn.tolist(), key=lambda index: -len(rows_of[index])):
        lightest = int(votes.argmin())
        fold_N[rows_of[user]] = lightest
        votes[lightest] += len(rows_of[user])
    return fold_N


def cross_fitted(features_NKF: Floats, labels_N: Indices, rewards_N: Floats, fold_N: Indices) -> Floats:
    """Expected reward of every label for every vote's text, (N, K), in the rewards' unit and range.

    A logistic regression on the features of the label that was served, with rewards brought to [0, 1] by their range.
    """
    low, high = float(rewards_N.min()), float(rewards_N.max())
    served_NF = features_NKF[np.arange(len(labels_N)), labels_N]
    share_N = (rewards_N - low) / (high - low) if high > low else np.full(len(rewards_N), 0.5)
    predicted_NK = np.empty(features_NKF.shape[:2])
    for fold in np.unique(fold_N):
        inside_N = fold_N == fold
        model = _fit(served_NF[~inside_N], share_N[~inside_N])
        rows_RF = features_NKF[inside_N].reshape(-1, features_NKF.shape[2])
        predicted_NK[inside_N] = model.predict_proba(rows_RF)[:, 1].reshape(-1, features_NKF.shape[1])
    return np.asarray(low + (high - low) * predicted_NK)


def fit_error_terms(
    features_NKF: Floats, labels_N: Indices, rewards_N: Floats, predicted_NK: Floats, slopes_NK: Floats
) -> Floats:
    """How each vote moves an estimate through the model that it helped to fit, (N,), of mean 0.

    `predicted_NK` are the predictions of `cross_fitted`, `slopes_NK` what each of them is multiplied with in its vote's
    term of the estimate. To be added to those terms before an interval is put around them: they vary together, since
    one model serves all votes. For the doubly robust estimator this matters where weights are cut off; with whole ones
    the slopes cancel on average.

    Influence of a two-step estimate: g' H^-1 x (r - q), x the features of the label served and 1, H = mean q (1 - q)
    x x' plus the penalty on large coefficients, g = mean of sum_k slope q (1 - q) x (Newey and McFadden 1994, "Large
    sample estimation and hypothesis testing", section 6).
    """
    low, high = float(rewards_N.min()), float(rewards_N.max())
    if high == low:
        return np.zeros(len(rewards_N))
    rows_N = np.arange(len(labels_N))
    share_NK = (predicted_NK - low) / (high - low)
    with_one_NKG = np.concatenate([features_NKF, np.ones((*features_NKF.shape[:2], 1))], axis=2)
    spread_NK = share_NK * (1 - share_NK)
    gradient_G = np.einsum("nk,nkg->g", slopes_NK * spread_NK, with_one_NKG) / len(rows_N)
    served_NG = with_one_NKG[rows_N, labels_N]
    curvature_GG = (served_NG * spread_NK[rows_N, labels_N][:, None]).T @ served_NG / len(rows_N)
    curvature_GG += np.diag([PENALTY / len(rows_N)] * (curvature_GG.shape[0] - 1) + [0.0])
    direction_G = np.linalg.lstsq(curvature_GG, gradient_G)[0]
    moved_N = served_NG @ direction_G * (rewards_N - predicted_NK[rows_N, labels_N])
    return np.asarray(moved_N - moved_N.mean())


def _fit(features_MF: Floats, share_M: Floats) -> LogisticRegression:
    """Logistic regression on shares: each vote counts as a success by its share and as a failure by the rest.

    One success and one failure of no particular label are added, so that votes all alike can be fitted too.
    """
    from sklearn.linear_model import LogisticRegression  # slow to load, and large; who only lists gates has none of it

    middle_F = features_MF.mean(axis=0, keepdims=True)
    rows = np.concatenate([features_MF, middle_F, features_MF, middle_F])
    outcome = np.repeat([1, 0], len(features_MF) + 1)
    weight = np.concatenate([share_M, [1.0], 1.0 - share_M, [1.0]])
    return LogisticRegression(C=1 / PENALTY).fit(rows, outcome, sample_weight=weight)
