"""Intervals: known values, and that they hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thumbwheel.gates.gate import Rule, holds
from thumbwheel.gates.intervals import bootstrap, delong, wilson
from thumbwheel.ope.intervals import Interval, student_t_interval


def _point(value: float) -> Interval:
    """A value without an interval."""
    return Interval(value, math.nan, math.nan)


def test_wilson_of_none_in_a_hundred_is_not_zero() -> None:
    found = wilson(0, 100, 0.95)
    # high = z^2 / (n + z^2), z = 1.95996
    assert (found.value, found.low, found.high) == pytest.approx((0.0, 0.0, 0.036995), abs=1e-5)


def test_delong_on_a_hand_counted_ranking() -> None:
    # up scores 3, 2, 1; down scores 2, 0: wins 1, 1, ; tie 1/2 and win; loss and win -> (2 + 1.5 + 1) / 6
    is_up = np.array([True, True, True, False, False])
    found = delong(is_up, np.array([3.0, 2.0, 1.0, 2.0, 0.0]), 0.95)
    # V10 = 1, .75, .5 (variance .0625); V01 = 1 - (1/2, 0)... = .5, 1 (variance .125)
    error = math.sqrt(0.0625 / 3 + 0.125 / 2)
    assert found.value == pytest.approx(0.75)
    assert found.low == pytest.approx(0.75 - 1.959964 * error)
    assert found.high == 1.0


def test_delong_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    truth = 0.7602499  # Phi(1 / sqrt 2): normal scores one standard deviation apart
    is_up = np.arange(150) < 60
    scores = rng.normal(0.0, 1.0, (400, 150)) + is_up
    found = [delong(is_up, row, 0.9) for row in scores]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert covered == pytest.approx(0.9, abs=0.04)


def test_bootstrap_agrees_with_student_t_on_a_mean_and_is_seeded() -> None:
    sample = np.random.default_rng(2).normal(1.0, 2.0, 200)
    found, again = (bootstrap(np.mean, sample, confidence=0.95) for _ in range(2))
    expected = student_t_interval(sample, 0.95)
    assert found == again
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=0.04
    )


def test_a_paired_bootstrap_keeps_rows_together() -> None:
    first = np.random.default_rng(2).normal(0.0, 5.0, 100)

    def difference(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray((second - first).mean(axis=axis))

    found = bootstrap(difference, first, first + 1.0, confidence=0.95)
    assert (found.low, found.high) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("rule", "measured", "threshold", "passes"),
    [
        (Rule.AT_MOST, _point(3.0), 3.0, True),
        (Rule.AT_MOST, _point(3.0001), 3.0, False),
        (Rule.AT_LEAST, _point(0.6), 0.6, True),
        (Rule.AT_LEAST, _point(0.5999), 0.6, False),
        (Rule.ABOVE, Interval(1.0, 0.5, 2.0), 0.5, False),
        (Rule.ABOVE, Interval(1.0, 0.5001, 2.0), 0.5, True),
        (Rule.ABOVE, _point(1.0), 0.5, False),
        (Rule.AT_MOST, Interval(math.nan, 0.0, 0.0), 3.0, False),
        (Rule.AT_MOST, _point(-math.inf), 3.0, False),
        (Rule.AT_LEAST, _point(math.inf), 3.0, False),
        (Rule.ABOVE, Interval(math.nan, 1.0, 2.0), 0.5, False),
        (Rule.ABOVE, Interval(1.0, math.inf, math.inf), 0.5, False),
        (Rule.AT_MOST, _point(1.0), math.nan, False),
    ],
)
def test_rules_at_their_edges_and_with_numbers_that_are_none(
    rule: Rule, measured: Interval, threshold: float, passes: bool
) -> None:
    assert holds(rule, measured, threshold) is passes
