"""KL budget, held-out reward and the win rate at equal length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.held_out_reward import HeldOutReward
from thumbwheel.gates.kl_budget import KlBudget
from thumbwheel.gates.length_control import length_feature, win_rate_at_equal_length, wins
from thumbwheel.gates.win_rate import WinRate


def test_a_candidate_near_the_champion_passes(good: GenerateEvidence, limits: Gates) -> None:
    found = KlBudget().check(good, limits)
    assert found.passed
    assert found.value == pytest.approx(1.5, abs=0.2)


@pytest.mark.parametrize(("kl", "passes"), [(3.0, True), (3.001, False), (0.0, True)])
def test_the_kl_budget_is_an_edge(good: GenerateEvidence, limits: Gates, kl: float, passes: bool) -> None:
    found = KlBudget().check(replace(good, kl_per_reply=np.full(50, kl)), limits)
    assert found.passed is passes
    assert found.value == pytest.approx(kl)


def test_a_divergence_below_zero_is_a_measuring_error(good: GenerateEvidence, limits: Gates) -> None:
    kl = np.random.default_rng(0).normal(-2.0, 0.5, 100)
    found = KlBudget().check(replace(good, kl_per_reply=kl), limits)
    assert not found.passed
    assert "no divergence can be" in found.sentence


def test_noise_around_zero_divergence_passes(good: GenerateEvidence, limits: Gates) -> None:
    kl = np.random.default_rng(0).normal(0.0, 0.5, 100) - 0.05
    assert KlBudget().check(replace(good, kl_per_reply=kl), limits).passed


def test_a_gain_in_reward_passes(good: GenerateEvidence, limits: Gates) -> None:
    found = HeldOutReward().check(good, limits)
    assert found.passed
    assert 0.4 < found.low < found.value < found.high < 0.6


@pytest.mark.parametrize("gate", [HeldOutReward(), WinRate()])
@pytest.mark.parametrize("gain", [-0.5, 0.0])
def test_no_gain_or_a_loss_is_stopped(
    good: GenerateEvidence, limits: Gates, gate: HeldOutReward | WinRate, gain: float
) -> None:
    rng = np.random.default_rng(8)
    scores = np.asarray(good.champion_scores) + rng.normal(gain, 0.5, 300)
    assert not gate.check(replace(good, candidate_scores=scores), limits).passed


@pytest.mark.parametrize("gate", [HeldOutReward(), WinRate()])
def test_the_champion_itself_is_no_better_than_itself(
    good: GenerateEvidence, limits: Gates, gate: HeldOutReward | WinRate
) -> None:
    same = replace(good, candidate_scores=good.champion_scores, candidate_lengths=good.champion_lengths)
    found = gate.check(same, limits)
    assert not found.passed
    assert found.value == found.low == found.high == {"held_out_reward": 0.0, "win_rate": 0.5}[gate.name]


@pytest.mark.parametrize("gate", [HeldOutReward(), WinRate(), KlBudget()])
def test_few_prompts_or_broken_scores_fail(
    good: GenerateEvidence, limits: Gates, gate: HeldOutReward | WinRate | KlBudget
) -> None:
    few = replace(
        good,
        champion_scores=np.zeros(29),
        candidate_scores=np.ones(29),
        champion_lengths=np.ones(29),
        candidate_lengths=np.ones(29),
        kl_per_reply=np.ones(29),
    )
    assert "only 29" in gate.check(few, limits).sentence
    spoiled = np.asarray(good.candidate_scores).copy()
    spoiled[7] = np.nan
    broken = gate.check(replace(good, candidate_scores=spoiled, kl_per_reply=spoiled), limits)
    assert not broken.passed
    assert "1 of 300" in broken.sentence


def test_pairs_of_different_length_are_refused(good: GenerateEvidence) -> None:
    with pytest.raises(ValueError, match="equally long"):
        replace(good, candidate_scores=np.zeros(299))


def test_a_few_great_prompts_raise_the_mean_but_do_not_win(good: GenerateEvidence, limits: Gates) -> None:
    rng = np.random.default_rng(9)
    change = np.where(np.arange(300) < 60, 5.0, -0.1) + rng.normal(0.0, 0.05, 300)
    few = replace(good, candidate_scores=np.asarray(good.champion_scores) + change)
    assert HeldOutReward().check(few, limits).passed
    assert not WinRate().check(few, limits).passed


def test_winning_by_length_alone_is_stopped(good: GenerateEvidence, limits: Gates) -> None:
    rng = np.random.default_rng(10)
    longer = rng.normal(10.0, 12.0, 300)
    scores = np.asarray(good.champion_scores) + 0.1 * longer + rng.normal(0.0, 0.3, 300)
    by_length = replace(good, candidate_scores=scores, candidate_lengths=np.asarray(good.champion_lengths) + longer)
    assert wins(np.asarray(good.champion_scores), scores).mean() > 0.7
    found = WinRate().check(by_length, limits)
    assert found.value == pytest.approx(0.5, abs=0.1)
    assert not found.passed
    assert "tokens longer" in found.sentence


def test_a_better_candidate_wins_although_it_is_also_longer(good: GenerateEvidence, limits: Gates) -> None:
    longer = np.random.default_rng(11).normal(5.0, 6.0, 300)
    better = replace(good, candidate_lengths=np.asarray(good.champion_lengths) + longer)
    found = WinRate().check(better, limits)
    assert found.passed
    assert found.value == pytest.approx(0.85, abs=0.06)


def test_the_least_win_rate_is_an_edge(good: GenerateEvidence, limits: Gates) -> None:
    low = WinRate().check(good, limits).low
    assert WinRate().check(good, Gates(min_win_rate=low - 1e-6)).passed
    assert not WinRate().check(good, Gates(min_win_rate=low)).passed


def test_equal_length_win_rate_recovers_the_share_it_was_made_with() -> None:
    rng = np.random.default_rng(12)
    feature = length_feature(np.zeros(20_000), rng.normal(10.0, 10.0, 20_000))
    chance = 1 / (1 + np.exp(-(0.4 + 1.5 * feature)))
    won = (rng.random(20_000) < chance).astype(float)
    assert won.mean() > 0.7
    assert float(win_rate_at_equal_length(won, feature)) == pytest.approx(1 / (1 + np.exp(-0.4)), abs=0.015)


def test_resamples_are_fitted_as_each_alone() -> None:
    rng = np.random.default_rng(13)
    won, feature = rng.integers(0, 2, (5, 40)).astype(float), np.tanh(rng.normal(0, 1, (5, 40)))
    together = win_rate_at_equal_length(won, feature)
    alone = [float(win_rate_at_equal_length(*row)) for row in zip(won, feature, strict=True)]
    assert together.tolist() == pytest.approx(alone)


def test_unanimous_wins_and_equal_lengths_converge() -> None:
    rate = float(win_rate_at_equal_length(np.ones(100), length_feature(np.full(100, 7.0), np.full(100, 9.0))))
    assert 0.99 < rate < 1.0


def test_ties_count_half() -> None:
    assert wins(np.array([1.0, 1.0, 1.0]), np.array([2.0, 1.0, 0.0])).tolist() == [1.0, 0.5, 0.0]
