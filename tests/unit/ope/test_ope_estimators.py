"""Estimators and weights against sums written out by hand, and against a log whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.ope.estimators import (
    direct_method_terms,
    doubly_robust_terms,
    ips_terms,
    snips,
    snips_terms,
)
from thumbwheel.ope.weights import Floats, Indices, clipped, effective_sample_size, importance_weights, largest_weight

LABELS = 4


class SyntheticLog:
    """Answers drawn from a known policy with a known reward of every label, so the truth can be summed."""

    def __init__(self, size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.logged_BK = softmax(rng.normal(size=(size, LABELS)))
        self.target_BK = softmax(np.log(self.logged_BK) + rng.normal(scale=0.7, size=(size, LABELS)))
        self.mean_reward_BK = rng.uniform(size=(size, LABELS))
        self.actions_B: Indices = np.array([rng.choice(LABELS, p=row) for row in self.logged_BK], dtype=np.int64)
        chances_B = self.mean_reward_BK[np.arange(size), self.actions_B]
        self.rewards_B: Floats = (rng.uniform(size=size) < chances_B).astype(np.float64)
        self.weights_B = importance_weights(self.target_BK, self.logged_BK, self.actions_B)

    @property
    def truth(self) -> float:
        return float((self.target_BK * self.mean_reward_BK).sum(axis=1).mean())


def softmax(logits_BK: Floats) -> Floats:
    exponentials = np.exp(logits_BK)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def log() -> SyntheticLog:
    return SyntheticLog(300, seed=1)


def test_weights_are_the_ratio_of_the_two_policies(log: SyntheticLog) -> None:
    for row in (0, 17, 299):
        action = int(log.actions_B[row])
        assert log.weights_B[row] == pytest.approx(log.target_BK[row][action] / log.logged_BK[row][action], rel=1e-12)


def test_a_served_label_of_logged_probability_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not above 0"):
        importance_weights(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), np.array([1]))


@pytest.mark.parametrize("most", [math.inf, 1.5])
def test_ips_against_a_loop(log: SyntheticLog, most: float) -> None:
    expected = [min(w, most) * r for w, r in zip(log.weights_B.tolist(), log.rewards_B.tolist(), strict=True)]
    assert ips_terms(log.weights_B, log.rewards_B, most) == pytest.approx(np.array(expected), abs=1e-12)


def test_ips_by_hand() -> None:
    # Weights .5, 2, 4 on rewards 1, 0, 1: mean 4.5 / 3; clipped at 3: 3.5 / 3.
    weights_B, rewards_B = np.array([0.5, 2.0, 4.0]), np.array([1.0, 0.0, 1.0])
    assert ips_terms(weights_B, rewards_B).mean() == pytest.approx(1.5, abs=1e-12)
    assert ips_terms(weights_B, rewards_B, 3.0).mean() == pytest.approx(3.5 / 3, abs=1e-12)


def test_clipped_ips_never_overstates_and_plain_ips_is_right_on_average() -> None:
    logs = [SyntheticLog(100, seed=seed) for seed in range(120)]
    off = [float(ips_terms(log.weights_B, log.rewards_B).mean()) - log.truth for log in logs]
    short = [float(ips_terms(log.weights_B, log.rewards_B, 1.2).mean()) - log.truth for log in logs]
    assert np.mean(off) == pytest.approx(0.0, abs=3 * float(np.std(off)) / math.sqrt(120))
    assert np.mean(short) < -0.02


@pytest.mark.parametrize("most", [0.0, -1.0, math.nan])
def test_a_largest_weight_that_is_not_above_0_is_refused(most: float) -> None:
    with pytest.raises(InvalidInput, match="most: the largest weight allowed must be above 0"):
        clipped(np.ones(2), most)


def test_snips_against_a_loop_and_its_terms_average_to_it(log: SyntheticLog) -> None:
    above = below = 0.0
    for weight, reward in zip(log.weights_B, log.rewards_B, strict=True):
        above += weight * reward
        below += weight
    assert snips(log.weights_B, log.rewards_B) == pytest.approx(above / below, rel=1e-12)
    assert snips_terms(log.weights_B, log.rewards_B).mean() == pytest.approx(above / below, rel=1e-12)


def test_snips_does_not_move_with_the_scale_of_the_weights(log: SyntheticLog) -> None:
    assert snips(3 * log.weights_B, log.rewards_B) == pytest.approx(snips(log.weights_B, log.rewards_B), rel=1e-12)


def test_snips_of_weights_that_are_all_zero_is_unknown() -> None:
    assert math.isnan(snips(np.zeros(3), np.ones(3)))


def test_snips_terms_spread_like_the_ratio_itself() -> None:
    values, widths = [], []
    for seed in range(200):
        log = SyntheticLog(150, seed=1000 + seed)
        values.append(snips(log.weights_B, log.rewards_B) - log.truth)
        widths.append(snips_terms(log.weights_B, log.rewards_B).std(ddof=1) / math.sqrt(150))
    assert np.mean(widths) == pytest.approx(np.std(values), rel=0.15)


def test_direct_method_against_a_loop(log: SyntheticLog) -> None:
    total = 0.0
    for row in range(300):
        for label in range(LABELS):
            total += log.target_BK[row][label] * log.mean_reward_BK[row][label]
    assert direct_method_terms(log.mean_reward_BK, log.target_BK).mean() == pytest.approx(total / 300, rel=1e-12)


def test_doubly_robust_against_a_loop(log: SyntheticLog) -> None:
    predicted_BK = 0.5 * log.mean_reward_BK + 0.1
    expected = []
    for row in range(300):
        action = int(log.actions_B[row])
        direct = sum(log.target_BK[row][label] * predicted_BK[row][label] for label in range(LABELS))
        expected.append(direct + log.weights_B[row] * (log.rewards_B[row] - predicted_BK[row][action]))
    terms_B = doubly_robust_terms(log.weights_B, log.rewards_B, log.actions_B, predicted_BK, log.target_BK)
    # Term by term: the gate pairs champion and candidate by row.
    assert terms_B == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("wrong", ["weights", "prediction"])
def test_doubly_robust_stands_when_one_of_its_parts_is_wrong(wrong: str) -> None:
    log = SyntheticLog(20_000, seed=5)
    weights_B, predicted_BK = log.weights_B, log.mean_reward_BK
    if wrong == "weights":
        weights_B = np.ones_like(weights_B)
    else:
        predicted_BK = np.full_like(predicted_BK, 0.9)
    terms_B = doubly_robust_terms(weights_B, log.rewards_B, log.actions_B, predicted_BK, log.target_BK)
    assert terms_B.mean() == pytest.approx(log.truth, abs=0.015)


def test_snips_finds_the_truth_that_the_plain_mean_misses() -> None:
    log = SyntheticLog(20_000, seed=6)
    log.mean_reward_BK = np.tile([0.9, 0.1, 0.1, 0.1], (20_000, 1))
    log.rewards_B = (log.actions_B == 0) * 0.8 + 0.1
    target_BK = np.tile([0.7, 0.1, 0.1, 0.1], (20_000, 1))
    weights_B = importance_weights(target_BK, log.logged_BK, log.actions_B)
    truth = 0.7 * 0.9 + 0.3 * 0.1
    assert abs(float(log.rewards_B.mean()) - truth) > 0.2
    assert snips(weights_B, log.rewards_B) == pytest.approx(truth, abs=0.03)


def test_effective_sample_size_of_equal_and_of_one_sided_weights() -> None:
    assert effective_sample_size(np.full(50, 0.3)) == pytest.approx(50)
    assert effective_sample_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_sample_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    assert effective_sample_size(np.zeros(3)) == 0


def test_largest_weight() -> None:
    assert largest_weight(np.array([0.2, 7.5, 1.0])) == 7.5
    assert largest_weight(np.array([])) == 0
