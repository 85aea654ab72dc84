"""Intervals for terms of a known range: formulas by plain loops, and that they hold the truth where t does not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from thumbwheel.errors import InvalidInput, NotEnoughData
from thumbwheel.ope.bounded import LARGEST_STAKE, betting, empirical_bernstein
from thumbwheel.ope.intervals import Interval, student_t_interval
from thumbwheel.ope.weights import Floats

BOUNDED: list[Callable[..., Interval]] = [empirical_bernstein, betting]


def test_empirical_bernstein_by_hand() -> None:
    # 100 ones and 100 zeros: mean .5, s^2 = 50 / 199; ln(4 / .05) = 4.3820266.
    found = empirical_bernstein(np.tile([0.0, 1.0], 100), 0.0, 1.0)
    half = math.sqrt(50 / 199) * math.sqrt(2 * 4.382026634673881 / 200) + 7 * 4.382026634673881 / (3 * 199)
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-10)
    assert half == pytest.approx(0.156310, abs=1e-6)


def _capital(terms: list[float], mean: float, confidence: float) -> float:
    """The most that the gambler who bets on more than `mean` ever had, step by step as in the paper; starts with 1."""
    alpha, count = 1 - confidence, len(terms)
    wealth = most = 1.0
    seen_sum, squares, variance = 0.5, 0.25, 0.25
    for step, term in enumerate(terms, start=1):
        stake = math.sqrt(2 * math.log(2 / alpha) / (count * variance))
        wealth *= 1 + min(stake, LARGEST_STAKE / mean) * (term - mean)
        most = max(most, wealth)
        seen_sum += term
        squares += (term - seen_sum / (step + 1)) ** 2
        variance = squares / (step + 1)
    return most


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_betting_against_a_gambler_who_tries_every_mean(confidence: float) -> None:
    terms = np.random.default_rng(3).beta(1.0, 3.0, size=60)
    found = betting(terms, 0.0, 1.0, confidence)
    grid, rich = np.linspace(0.0005, 0.9995, 1000), 2 / (1 - confidence)
    mirrored = [1 - term for term in terms]
    stand = [m for m in grid if _capital(list(terms), m, confidence) < rich > _capital(mirrored, 1 - m, confidence)]
    assert found.value == pytest.approx(sum(terms) / 60, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((min(stand), max(stand)), abs=0.001)


@pytest.mark.parametrize("make", BOUNDED)
def test_they_move_and_grow_with_the_range(make: Callable[..., Interval]) -> None:
    terms = np.random.default_rng(1).uniform(size=300)
    plain, wide = make(terms, 0.0, 1.0), make(10 * terms - 5, -5.0, 5.0)
    assert (wide.low, wide.high) == pytest.approx((10 * plain.low - 5, 10 * plain.high - 5), abs=1e-8)
    assert (wide.value - wide.low) / (wide.high - wide.value) == pytest.approx(
        (plain.value - plain.low) / (plain.high - plain.value), rel=1e-6
    )


def test_betting_is_the_narrower_of_the_two() -> None:
    terms = (np.random.default_rng(4).uniform(size=500) < 0.1).astype(np.float64)
    bets, bernstein = betting(terms, 0.0, 1.0), empirical_bernstein(terms, 0.0, 1.0)
    assert bets.high - bets.low < 0.75 * (bernstein.high - bernstein.low)


def _covered(make: Callable[[Floats], Interval], truth: float, draws: int) -> float:
    rng = np.random.default_rng(9)
    found = [make((rng.uniform(size=100) < truth).astype(np.float64)) for _ in range(draws)]
    return sum(one.low <= truth <= one.high for one in found) / draws


def test_they_hold_a_rare_truth_that_student_t_misses() -> None:
    assert _covered(lambda terms: student_t_interval(terms, 0.95), 0.02, 300) < 0.92
    assert _covered(lambda terms: empirical_bernstein(terms, 0.0, 1.0, 0.95), 0.02, 300) >= 0.95
    assert _covered(lambda terms: betting(terms, 0.0, 1.0, 0.95), 0.02, 300) >= 0.95


@pytest.mark.parametrize("make", BOUNDED)
def test_what_can_not_be_bounded_is_refused(make: Callable[..., Interval]) -> None:
    with pytest.raises(NotEnoughData, match="at least 2"):
        make(np.array([0.5]), 0.0, 1.0)
    with pytest.raises(InvalidInput, match="terms: must lie from 0 to 1: widen the range"):
        make(np.array([0.5, 1.5]), 0.0, 1.0)
    with pytest.raises(InvalidInput, match="terms"):
        make(np.array([0.5, math.nan]), 0.0, 1.0)
    with pytest.raises(InvalidInput, match="low"):
        make(np.array([0.5, 0.5]), 1.0, 1.0)
    with pytest.raises(InvalidInput, match="confidence"):
        make(np.array([0.5, 0.6]), 0.0, 1.0, 95.0)
