"""Intervals: their formulas, and that they hold the truth as often as they say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from thumbwheel.errors import InvalidInput, NotEnoughData
from thumbwheel.ope.estimators import snips
from thumbwheel.ope.intervals import (
    Interval,
    bootstrap_interval,
    empirical_bernstein_interval,
    student_t_interval,
)
from thumbwheel.ope.weights import Floats


def test_student_t_by_hand() -> None:
    # Mean 3, s^2 = 2.5, B = 5; the 97.5 % quantile of t(4) is 2.776445.
    interval = student_t_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    half = 2.7764451051977987 * math.sqrt(2.5 / 5)
    assert interval.value == 3.0
    assert interval.low == pytest.approx(3 - half, rel=1e-9)
    assert interval.high == pytest.approx(3 + half, rel=1e-9)


def test_empirical_bernstein_by_hand() -> None:
    terms_B = np.array([0.0, 1.0] * 50)
    log_term = math.log(2 / 0.05)
    half = math.sqrt(2 * (25 / 99) * log_term / 100) + 7 * log_term / (3 * 99)
    interval = empirical_bernstein_interval(terms_B, 0.0, 1.0, confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-9)


def test_empirical_bernstein_refuses_terms_outside_its_range() -> None:
    with pytest.raises(InvalidInput, match=r"must lie in \[0.0, 1.0\]"):
        empirical_bernstein_interval(np.array([0.2, 1.2]), 0.0, 1.0)


def test_the_bootstrap_of_a_mean_agrees_with_student_t() -> None:
    terms_B = np.random.default_rng(0).normal(size=400)
    student, drawn = student_t_interval(terms_B), bootstrap_interval(lambda x: float(x.mean()), terms_B, seed=1)
    assert drawn.value == pytest.approx(student.value)
    assert (drawn.low, drawn.high) == pytest.approx((student.low, student.high), abs=0.015)


def test_the_bootstrap_draws_its_columns_together_and_reproducibly() -> None:
    weights_B = np.random.default_rng(0).exponential(size=60)
    tied = bootstrap_interval(snips, weights_B, np.full(60, 0.25), seed=3, resamples=100)
    assert (tied.low, tied.value, tied.high) == pytest.approx((0.25, 0.25, 0.25))
    rewards_B = np.random.default_rng(1).uniform(size=60)
    first, again = (bootstrap_interval(snips, weights_B, rewards_B, seed=3, resamples=100) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    "make",
    [
        lambda x: student_t_interval(x),
        lambda x: empirical_bernstein_interval(x, 0, 1),
        lambda x: bootstrap_interval(np.mean, x, seed=0),
    ],
)
def test_one_answer_has_no_interval(make: Callable[[Floats], Interval]) -> None:
    with pytest.raises(NotEnoughData, match="at least 2"):
        make(np.array([0.5]))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(InvalidInput, match="confidence"):
        student_t_interval(np.array([0.0, 1.0]), confidence)


def _coverage(make: Callable[[Floats], Interval], trials: int = 600) -> float:
    """Share of trials whose interval holds the mean, 0.3, of weighted Bernoulli terms (mean weight 1)."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(trials):
        weights_B = rng.choice([0.5, 1.5], size=200)
        interval = make(weights_B * (rng.uniform(size=200) < 0.3))
        held += interval.low <= 0.3 <= interval.high
    return held / trials


def test_student_t_holds_the_truth_as_often_as_it_says() -> None:
    assert _coverage(lambda x: student_t_interval(x, 0.9)) == pytest.approx(0.9, abs=0.03)


def test_the_bootstrap_holds_the_truth_as_often_as_it_says() -> None:
    def make(terms_B: Floats) -> Interval:
        return bootstrap_interval(lambda x: float(x.mean()), terms_B, seed=0, confidence=0.9, resamples=200)

    assert _coverage(make, trials=300) == pytest.approx(0.9, abs=0.05)


def test_empirical_bernstein_holds_the_truth_more_often_than_it_says() -> None:
    assert _coverage(lambda x: empirical_bernstein_interval(x, 0, 1.5, 0.9)) >= 0.98
