"""Held-out AUC and calibration of the reward model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, HeldOutVotes
from thumbwheel.gates.reward_auc import RewardAuc
from thumbwheel.gates.reward_calibration import RewardCalibration
from thumbwheel.reward.calibration import expected_calibration_error, roc_auc


def _with(good: GenerateEvidence, thumbs_up: np.ndarray, probabilities: np.ndarray) -> GenerateEvidence:
    return replace(good, reward_model=HeldOutVotes(thumbs_up, probabilities))


def test_a_reward_model_that_sees_quality_passes(good: GenerateEvidence, limits: Gates) -> None:
    found = RewardAuc().check(good, limits)
    assert found.passed
    assert 0.75 < found.low < found.value < found.high < 0.87


def test_a_reward_model_that_guesses_is_stopped(good: GenerateEvidence, limits: Gates) -> None:
    rng = np.random.default_rng(3)
    found = RewardAuc().check(_with(good, rng.integers(0, 2, 500), rng.random(500)), limits)
    assert not found.passed
    assert found.value == pytest.approx(0.5, abs=0.07)


def test_a_high_auc_from_few_votes_does_not_beat_a_coin(good: GenerateEvidence, limits: Gates) -> None:
    up = np.repeat([1.0, 0.0], 20)
    scores = np.concatenate([np.arange(20) + 4.5, np.arange(20)]) / 30
    found = RewardAuc().check(_with(good, up, scores), limits)
    assert found.value >= 0.6
    assert found.low > 0.5
    weaker = RewardAuc().check(_with(good, up, np.concatenate([np.arange(20) + 2.5, np.arange(20)]) / 30), limits)
    assert weaker.value >= 0.6 > 0.5 > weaker.low
    assert not weaker.passed
    assert "a coin could reach" in weaker.sentence


@pytest.mark.parametrize(("least", "passes"), [(0.75, True), (0.7501, False)])
def test_the_least_auc_is_an_edge(good: GenerateEvidence, least: float, passes: bool) -> None:
    # three quarters of the ups above all downs, a quarter below all: AUC exactly .75
    up = np.repeat([1.0, 0.0], 100)
    scores = np.concatenate([np.full(75, 0.9), np.full(25, 0.1), np.full(100, 0.5)])
    found = RewardAuc().check(_with(good, up, scores), Gates(min_reward_auc=least))
    assert (found.value, found.passed) == (0.75, passes)


@pytest.mark.parametrize("gate", [RewardAuc(), RewardCalibration()])
@pytest.mark.parametrize(
    ("thumbs_up", "probabilities", "says"),
    [
        ([1.0, 0.0] * 19, [0.9, 0.1] * 19, "only 38 held-out votes"),
        ([1.0] * 81 + [0.0] * 19, [0.9] * 81 + [0.1] * 19, "81 are up and 19 down"),
        ([1.0, 0.0] * 50, [0.9, float("nan")] * 50, "50 of 100 held-out votes gave a number that is NaN"),
        ([float("nan"), 0.0] * 50, [0.9, 0.1] * 50, "NaN or infinite"),
        ([5.0, 0.0] * 50, [0.9, 0.1] * 50, "50 held-out votes are neither up (1) nor down (0)"),
        ([], [], "only 0 held-out votes"),
    ],
)
def test_held_out_votes_that_say_nothing_fail(
    good: GenerateEvidence,
    limits: Gates,
    gate: RewardAuc | RewardCalibration,
    thumbs_up: list[float],
    probabilities: list[float],
    says: str,
) -> None:
    found = gate.check(_with(good, np.array(thumbs_up), np.array(probabilities)), limits)
    assert not found.passed
    assert np.isnan(found.value)
    assert says in found.sentence


def test_an_honest_reward_model_passes(good: GenerateEvidence, limits: Gates) -> None:
    found = RewardCalibration().check(good, limits)
    assert found.passed
    assert found.value < 0.08


def test_an_over_confident_reward_model_is_stopped(good: GenerateEvidence, limits: Gates) -> None:
    rng = np.random.default_rng(4)
    up = rng.random(500) < np.repeat([0.65, 0.35], 250)
    found = RewardCalibration().check(_with(good, up.astype(float), np.repeat([0.99, 0.01], 250)), limits)
    assert not found.passed
    assert found.value == pytest.approx(0.34, abs=0.06)


def test_probabilities_beyond_1_fail(good: GenerateEvidence, limits: Gates) -> None:
    found = RewardCalibration().check(_with(good, np.repeat([1.0, 0.0], 50), np.linspace(0, 1.2, 100)), limits)
    assert not found.passed
    assert "range from 0 to 1" in found.sentence


def test_the_gates_measure_what_fitting_recorded(good: GenerateEvidence, limits: Gates) -> None:
    rng = np.random.default_rng(5)
    probabilities = rng.integers(1, 20, 300) / 20  # with ties
    up = rng.random(300) < probabilities
    evidence = _with(good, up.astype(float), probabilities)
    assert RewardAuc().check(evidence, limits).value == pytest.approx(roc_auc(list(probabilities), list(up)), abs=1e-12)
    error = float(expected_calibration_error(up, probabilities))
    assert RewardCalibration().check(evidence, limits).value == error
