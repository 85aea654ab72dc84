"""Intervals: their formulas, known values, and that they hold the truth as often as they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from thumbwheel.errors import InvalidInput, NotEnoughData
from thumbwheel.ope.intervals import SEED, Interval, bootstrap, delong, student_t_interval, wilson
from thumbwheel.ope.weights import Floats


def test_student_t_by_hand() -> None:
    # Mean 3, s^2 = 2.5, B = 5; the 97.5 % quantile of t(4) is 2.776445.
    interval = student_t_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    half = 2.7764451051977987 * math.sqrt(2.5 / 5)
    assert interval.value == 3.0
    assert interval.low == pytest.approx(3 - half, rel=1e-9)
    assert interval.high == pytest.approx(3 + half, rel=1e-9)


def test_one_answer_has_no_interval() -> None:
    with pytest.raises(NotEnoughData, match="at least 2"):
        student_t_interval(np.array([0.5]))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    two_B = np.array([0.0, 1.0])
    makers: list[Callable[[], Interval]] = [
        lambda: student_t_interval(two_B, confidence),
        lambda: wilson(1, 2, confidence),
        lambda: bootstrap(np.mean, two_B, confidence=confidence),
        lambda: delong(two_B > 0, two_B, confidence),
    ]
    for make in makers:
        with pytest.raises(InvalidInput, match="confidence"):
            make()


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


def test_bca_by_the_books_formula() -> None:
    # Efron 1987: z0 from the share of resamples below the estimate, a from the jackknife's skewness.
    sample = np.random.default_rng(8).exponential(1.0, 60)
    found = bootstrap(np.mean, sample, confidence=0.9, method="BCa")
    rng = np.random.default_rng(SEED)
    resampled = np.sort([sample[rng.integers(0, 60, 60)].mean() for _ in range(4000)])
    bias = stats.norm.ppf((resampled < sample.mean()).mean())
    left_out = np.array([np.delete(sample, i).mean() for i in range(60)])
    apart = left_out.mean() - left_out
    skew = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    ends = []
    for tail in (0.05, 0.95):
        z = bias + stats.norm.ppf(tail)
        ends.append(np.quantile(resampled, stats.norm.cdf(bias + z / (1 - skew * z))))
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=0.03)
    percentile = bootstrap(np.mean, sample, confidence=0.9)
    assert found.high - percentile.high > 0.01  # a long right tail moves both ends up
    assert found.low - percentile.low > 0.01


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_terms_all_alike_have_a_point_for_an_interval(method: Literal["percentile", "BCa"]) -> None:
    assert bootstrap(np.mean, np.full(40, 0.25), confidence=0.95, method=method) == Interval(0.25, 0.25, 0.25)
