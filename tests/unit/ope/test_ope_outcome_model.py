"""Cross-fitting: whose votes fit which prediction, and what the predictions are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.ope.estimators import doubly_robust_terms
from thumbwheel.ope.outcome_model import cross_fitted, deal_folds, fit_error_terms
from thumbwheel.ope.weights import Floats, Indices

K = 3


def _log(votes: int, seed: int = 0) -> tuple[Floats, Indices, Floats, Floats]:
    """(features_NKF, labels_N, rewards_N, chances_NK): log odds of the reward = -.5 + 1.5 first feature - second."""
    rng = np.random.default_rng(seed)
    features_NKF = rng.normal(size=(votes, K, 2))
    chances_NK = 1 / (1 + np.exp(-(-0.5 + 1.5 * features_NKF[..., 0] - features_NKF[..., 1])))
    labels_N = rng.integers(0, K, votes)
    rewards_N = (rng.random(votes) < chances_NK[np.arange(votes), labels_N]).astype(np.float64)
    return features_NKF, labels_N, rewards_N, chances_NK


def test_each_users_votes_are_in_one_fold_and_folds_are_of_a_size() -> None:
    users = [f"u{n % 13}" for n in range(130)] + ["busy"] * 30
    fold_N = deal_folds(users, folds=4)
    folds_of = {user: {int(f) for f, u in zip(fold_N, users, strict=True) if u == user} for user in users}
    assert all(len(found) == 1 for found in folds_of.values())
    assert np.bincount(fold_N).tolist() == pytest.approx([40, 40, 40, 40], abs=10)
    assert deal_folds(users, folds=4).tolist() == fold_N.tolist()
    assert deal_folds(users, folds=4, seed=1).tolist() != fold_N.tolist()


def test_few_users_make_few_folds_and_one_user_is_dealt_singly() -> None:
    assert sorted(set(deal_folds(["a", "a", "b", "c"]).tolist())) == [0, 1, 2]
    assert np.bincount(deal_folds(["a"] * 10)).tolist() == [2, 2, 2, 2, 2]
    with pytest.raises(InvalidInput, match="folds: it takes at least 2"):
        deal_folds(["a", "b"], folds=1)


def test_no_reward_of_a_users_own_enters_the_predictions_of_the_user() -> None:
    features_NKF, labels_N, rewards_N, _ = _log(200)
    users = [n // 10 for n in range(200)]
    fold_N, flipped_N = deal_folds(users), rewards_N.copy()
    flipped_N[50:60] = 1.0 - flipped_N[50:60]
    before_NK, after_NK = (cross_fitted(features_NKF, labels_N, r, fold_N) for r in (rewards_N, flipped_N))
    assert after_NK[50:60].tolist() == before_NK[50:60].tolist()
    assert np.abs(after_NK - before_NK).max() > 1e-3


def test_predictions_find_the_chances_of_labels_that_were_not_served() -> None:
    features_NKF, labels_N, rewards_N, chances_NK = _log(6_000)
    found_NK = cross_fitted(features_NKF, labels_N, rewards_N, deal_folds(range(6_000)))
    assert np.abs(found_NK - chances_NK).max() < 0.1
    assert np.abs(found_NK - chances_NK).mean() < 0.02
    stars_NK = cross_fitted(features_NKF, labels_N, 1.0 + 4.0 * rewards_N, deal_folds(range(6_000)))
    assert stars_NK == pytest.approx(1.0 + 4.0 * found_NK)


def test_they_narrow_the_doubly_robust_terms() -> None:
    features_NKF, labels_N, rewards_N, chances_NK = _log(3_000, seed=2)
    target_NK = np.exp(2.0 * features_NKF[..., 0])
    target_NK /= target_NK.sum(axis=1, keepdims=True)
    weights_N = K * target_NK[np.arange(3_000), labels_N]
    plain_N = weights_N * rewards_N
    predicted_NK = cross_fitted(features_NKF, labels_N, rewards_N, deal_folds(range(3_000)))
    robust_N = doubly_robust_terms(weights_N, rewards_N, labels_N, predicted_NK, target_NK)
    truth = float((target_NK * chances_NK).sum(axis=1).mean())
    assert robust_N.mean() == pytest.approx(truth, abs=3 * robust_N.std() / math.sqrt(3_000))
    assert robust_N.std() < 0.7 * plain_N.std()


def test_the_models_error_is_what_other_samples_would_make_of_it() -> None:
    """The direct method's mean rests on the model alone: its spread over samples is what the error terms tell."""
    features_NKF, *_ = _log(300, seed=3)
    slopes_NK = np.random.default_rng(4).normal(size=(300, K)) + 1.0
    chances_NK = 1 / (1 + np.exp(-(-0.5 + 1.5 * features_NKF[..., 0] - features_NKF[..., 1])))
    rng, values, told = np.random.default_rng(5), [], []
    labels_N = rng.integers(0, K, 300)
    for _ in range(60):
        rewards_N = (rng.random(300) < chances_NK[np.arange(300), labels_N]).astype(np.float64)
        predicted_NK = cross_fitted(features_NKF, labels_N, rewards_N, deal_folds(range(300)))
        values.append(float((slopes_NK * predicted_NK).sum(axis=1).mean()))
        moved_N = fit_error_terms(features_NKF, labels_N, rewards_N, predicted_NK, slopes_NK)
        assert moved_N.mean() == pytest.approx(0.0, abs=1e-12)
        told.append(moved_N.std(ddof=1) / math.sqrt(300))
    assert np.mean(told) == pytest.approx(np.std(values), rel=0.25)


def test_the_models_error_by_a_loop_and_in_the_rewards_unit() -> None:
    features_NKF, labels_N, rewards_N, _ = _log(40, seed=6)
    slopes_NK = np.random.default_rng(7).normal(size=(40, K))
    predicted_NK = cross_fitted(features_NKF, labels_N, rewards_N, deal_folds(range(40)))
    gradient, curvature = np.zeros(3), np.diag([1 / 40, 1 / 40, 0.0])
    for n in range(40):
        for k in range(K):
            x, q = np.array([*features_NKF[n, k], 1.0]), predicted_NK[n, k]
            gradient += slopes_NK[n, k] * q * (1 - q) * x / 40
            if k == labels_N[n]:
                curvature += q * (1 - q) * np.outer(x, x) / 40
    direction, moved = np.linalg.inv(curvature) @ gradient, []
    for n in range(40):
        x, q = np.array([*features_NKF[n, labels_N[n]], 1.0]), predicted_NK[n, labels_N[n]]
        moved.append(float(direction @ x) * (rewards_N[n] - q))
    expected = np.array(moved) - np.mean(moved)
    assert fit_error_terms(features_NKF, labels_N, rewards_N, predicted_NK, slopes_NK) == pytest.approx(expected)
    stars = fit_error_terms(features_NKF, labels_N, 1 + 4 * rewards_N, 1 + 4 * predicted_NK, slopes_NK)
    assert stars == pytest.approx(4 * expected)
    alike = fit_error_terms(features_NKF, labels_N, np.full(40, 2.0), np.full((40, K), 2.0), slopes_NK)
    assert not alike.any()
