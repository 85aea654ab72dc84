"""A small run of the benchmark: intervals of the gain hold the truth, and see it, on logs like the demo's."""

from __future__ import annotations

import numpy as np
import pytest

from ope_coverage import GATES, Rounds, draw, population, tally

DRAWS = 40


def test_the_gates_intervals_hold_the_truth_and_see_a_gain() -> None:
    there = population(1, gain=0.6)
    assert there.gain == pytest.approx(0.14, abs=0.03)
    found = tally(there, votes=600, draws=DRAWS, bootstraps=0)
    robust = found[GATES["doubly robust"], "cube root", "Student t"]
    assert robust.logs == DRAWS
    assert robust.covered / DRAWS >= 0.85
    assert robust.above_0 / DRAWS >= 0.8
    # Left to whole weights, and without the prediction's error, an interval is wider, or misses.
    assert found["direct method", "cube root", "Student t"].covered / DRAWS < 0.8
    assert found["clipped IPS", "square root", "betting"].covered == DRAWS


def test_no_gain_is_hardly_ever_seen() -> None:
    found = tally(population(2, gain=-0.1), votes=600, draws=DRAWS, bootstraps=0)
    assert found[GATES["doubly robust"], "cube root", "Student t"].above_0 <= 3


def test_the_truth_is_the_mean_of_what_would_be_earned() -> None:
    there = population(3, gain=0.6, texts=200)
    rng, earned = np.random.default_rng(0), []
    for served_MK in (there.champion_MK, there.candidate_MK):
        right = sum(float(probs[label]) for probs, label in zip(served_MK, there.truth_M, strict=True)) / 200
        earned.append(0.9 * right + 0.1 * (1 - right))
    assert there.gain == pytest.approx(earned[1] - earned[0], abs=1e-12)
    assert draw(there, 20_000, rng).rewards_N.mean() == pytest.approx(earned[0], abs=0.02)


def test_a_logged_policy_is_its_mean_probability_by_position() -> None:
    rounds = Rounds(np.array([0, 0, 1, 2, 3, 4, 5]), np.zeros(7), np.array([0.2, 0.4, 0.6, 0.5, 0.5, 0.9, 0.1]))
    # Two items, three positions: means .3 and .6 of the first position sum to .9.
    assert rounds.policy(6).tolist() == pytest.approx([1 / 3, 2 / 3, 0.5, 0.5, 0.9, 0.1])
