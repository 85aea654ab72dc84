"""The mathematics of trials: numbers worked out by hand, and by simulation that it holds while one peeks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thumbwheel.canary.evidence import (
    difference,
    log_e_good,
    log_e_share,
    log_e_share_above,
    log_e_worse,
    log_mixture,
)
from thumbwheel.errors import InvalidInput

LEAST = math.log(20)


def likelihood_by_grid(control: tuple[int, int], tried: tuple[int, int], gap: float, above: bool) -> float:
    """The largest ln likelihood where p_tried - p_control is at least (or at most) `gap`, by trying all."""
    p = np.linspace(0.0005, 0.9995, 1999)
    old, new = np.meshgrid(p, p, indexing="ij")
    fits = control[0] * np.log(old) + control[1] * np.log(1 - old) + tried[0] * np.log(new) + tried[1] * np.log(1 - new)
    allowed = new - old >= gap - 1e-9 if above else new - old <= gap + 1e-9
    return float(fits[allowed].max())


def mixture_by_hand(up: int, down: int) -> float:
    """m(s, f) for Beta(1/2, 1/2) as a product over votes: (successes so far + 1/2) / (votes so far + 1)."""
    product = 1.0
    for vote in range(up):
        product *= (vote + 0.5) / (vote + 1)
    for vote in range(down):
        product *= (vote + 0.5) / (up + vote + 1)
    return product


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (0, 1), (3, 2), (7, 0)])
def test_the_mixture_is_the_product_of_its_predictions(up: int, down: int) -> None:
    assert float(log_mixture((up, down))) == pytest.approx(math.log(mixture_by_hand(up, down)), abs=1e-12)


def test_the_evidence_against_a_share_worked_out_by_hand() -> None:
    # two thumbs up: m = 1/2 * 3/4; against p = 1/4 that is 0.375 / 0.0625 = 6
    assert math.exp(float(log_e_share((2, 0), 0.25))) == pytest.approx(6.0)
    # m(1, 1) = 1/2 * 1/4 = 1/8, p (1 - p) = 3/16
    assert math.exp(float(log_e_share((1, 1), 0.25))) == pytest.approx(2 / 3)


def test_a_share_below_the_limit_is_no_evidence_that_it_is_above() -> None:
    assert float(log_e_share_above((1, 999), 0.01)) < 0
    assert math.exp(float(log_e_share_above((3, 0), 0.5))) == pytest.approx(mixture_by_hand(3, 0) / 0.125)


@pytest.mark.parametrize(
    ("control", "tried"), [((160, 40), (60, 140)), ((30, 10), (5, 20)), ((9, 1), (8, 3)), ((40, 60), (90, 10))]
)
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.2])
def test_both_hypotheses_against_a_search_of_all_shares(
    control: tuple[int, int], tried: tuple[int, int], margin: float
) -> None:
    mixtures = math.log(mixture_by_hand(*control)) + math.log(mixture_by_hand(*tried))
    worse = mixtures - likelihood_by_grid(control, tried, -margin, above=True)
    good = mixtures - likelihood_by_grid(control, tried, -margin, above=False)
    assert float(log_e_worse(control, tried, margin)) == pytest.approx(worse, abs=0.01)
    assert float(log_e_good(control, tried, margin)) == pytest.approx(good, abs=0.01)


def test_without_a_vote_on_one_of_them_nothing_is_known() -> None:
    assert float(log_e_worse((200, 0), (0, 0), 0.0)) <= 0
    assert float(log_e_good((0, 0), (200, 0), 0.0)) <= 0
    nothing = difference((0, 0), (0, 0), 0.95)
    assert (nothing.low, nothing.high) == (-1.0, 1.0)


def test_the_difference_ends_where_it_is_refuted() -> None:
    control, tried = (160, 40), (120, 80)
    found = difference(control, tried, 0.95)
    assert found.value == pytest.approx(-0.2)
    assert found.low < -0.2 < found.high < 0
    # at its ends the evidence is 20, by the search of all shares
    for gap in (found.low, found.high):
        p = np.linspace(max(0, -gap) + 1e-6, min(1, 1 - gap) - 1e-6, 20_001)
        fits = 160 * np.log(p) + 40 * np.log(1 - p) + 120 * np.log(p + gap) + 80 * np.log(1 - p - gap)
        mixtures = math.log(mixture_by_hand(*control)) + math.log(mixture_by_hand(*tried))
        assert mixtures - fits.max() == pytest.approx(LEAST, abs=0.01)


def test_a_confidence_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="confidence"):
        difference((1, 1), (1, 1), 1.0)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_a_share_is_covered_at_all_times_at_once(share: float) -> None:
    """Looked at after each of 300 votes, at most one in twenty of true shares is ever refuted."""
    rng = np.random.default_rng(7)
    up = np.cumsum((rng.random((1_000, 300)) < share).astype(float), axis=1)
    votes = np.arange(1, 301)
    refuted = (log_e_share((up, votes - up), share) >= LEAST).any(axis=1)
    assert refuted.mean() <= 0.05
    assert refuted.mean() > 0.005  # not for want of looking


@pytest.mark.parametrize(("control_votes", "share"), [(60, 0.5), (60, 0.8), (3_000, 0.8)])
def test_a_version_that_is_as_good_is_rarely_called_worse(control_votes: int, share: float) -> None:
    """Peeking after every fifth of 400 votes, margin 0: the hardest case there is."""
    rng = np.random.default_rng(11)
    control = rng.binomial(control_votes, share, 400)[:, None]
    up = np.cumsum((rng.random((400, 400)) < share).astype(float), axis=1)[:, 4::5]
    votes = np.arange(5, 401, 5)
    alarm = log_e_worse((control, control_votes - control), (up, votes - up), 0.0) >= LEAST
    assert alarm.any(axis=1).mean() <= 0.05


def test_one_that_is_worse_by_the_margin_is_rarely_called_good() -> None:
    rng = np.random.default_rng(13)
    both = [np.cumsum((rng.random((400, 400)) < share).astype(float), axis=1)[:, 4::5] for share in (0.8, 0.7)]
    votes = np.arange(5, 401, 5)
    called = log_e_good((both[0], votes - both[0]), (both[1], votes - both[1]), 0.1) >= LEAST
    assert called.any(axis=1).mean() <= 0.05


def test_one_that_is_much_worse_is_called_so_before_long() -> None:
    """From 80 % to 45 % thumbs up: after 120 users at most, in 9 of 10 cases."""
    rng = np.random.default_rng(17)
    control = rng.binomial(200, 0.8, 400)[:, None]
    up = np.cumsum((rng.random((400, 120)) < 0.45).astype(float), axis=1)
    votes = np.arange(1, 121)
    alarm = log_e_worse((control, 200 - control), (up, votes - up), 0.05) >= LEAST
    assert alarm.any(axis=1).mean() >= 0.9
