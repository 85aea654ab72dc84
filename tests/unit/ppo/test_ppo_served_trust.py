"""Raters weighed by what served held likely: a case worked out by hand, and crowds of known behaviour."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thumbwheel.ppo.served_trust import served_trust
from thumbwheel.reward.trust import RaterTrust


def crowd(
    rng: np.random.Generator, flipped: int = 0, always: int = 0, up: bool = True
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """60 raters of 12 votes each on labels of known probability, 10 % of the thumbs wrong."""
    raters = [f"r{rater:02}" for rater in range(60) for _ in range(12)]
    estimates_N = rng.choice([0.2, 0.5, 0.95], len(raters), p=[0.2, 0.3, 0.5])
    right_N = rng.random(len(raters)) < estimates_N
    rewards_N = (right_N ^ (rng.random(len(raters)) < 0.1)).astype(float)
    rewards_N[: 12 * flipped] = 1 - rewards_N[: 12 * flipped]
    rewards_N[12 * flipped : 12 * (flipped + always)] = float(up)
    return raters, estimates_N, rewards_N


def naive(raters: list[str], x: list[float], y: list[float]) -> dict[str, float]:
    """The same in loops, from both origins."""
    by_means = naive_from(raters, x, y, sum(x) / len(x), sum(y) / len(y))
    by_half = naive_from(raters, x, y, 0.5, 0.5)
    return {rater: min(by_means[rater], by_half[rater]) for rater in by_half}


def naive_from(raters: list[str], x: list[float], y: list[float], mx: float, my: float) -> dict[str, float]:
    """Slopes, the variance between raters by moments, the posterior mean."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for rater, a, b in zip(raters, x, y, strict=True):
        pairs.setdefault(rater, []).append((a - mx, b - my))
    sxx = {rater: sum(a * a for a, _ in of) for rater, of in pairs.items()}
    sxy = {rater: sum(a * b for a, b in of) for rater, of in pairs.items()}
    left = sum(sum((b - sxy[rater] / sxx[rater] * a) ** 2 for a, b in of) for rater, of in pairs.items())
    within = left / (len(x) - len(pairs))
    w = {rater: sxx[rater] / within for rater in pairs}
    beta = {rater: sxy[rater] / sxx[rater] for rater in pairs}
    middle = sum(w[r] * beta[r] for r in pairs) / sum(w.values())
    q = sum(w[r] * (beta[r] - middle) ** 2 for r in pairs)
    between = (q - (len(pairs) - 1)) / (sum(w.values()) - sum(one**2 for one in w.values()) / sum(w.values()))
    slope = sum(sxy.values()) / sum(sxx.values())
    m = within / between if between > 0 else math.inf
    trusted = {r: 1.0 if m == math.inf else (sxy[r] + m * slope) / (sxx[r] + m) / slope for r in pairs}
    return {r: min(max(one, 0.0), 1.5) for r, one in trusted.items()}


def test_it_is_what_a_naive_loop_finds() -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(0), flipped=12)
    found = served_trust(raters, estimates_N, rewards_N, np.ones(len(raters)))
    expected = naive(raters, estimates_N.tolist(), rewards_N.tolist())
    assert found.weights == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_who_votes_the_opposite_counts_least_after_a_dozen_votes(seed: int) -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(seed), flipped=12)
    weights = served_trust(raters, estimates_N, rewards_N, np.ones(len(raters))).weights
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12)]) < 0.1
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12, 60)]) > 1.1


@pytest.mark.parametrize(("up", "most"), [(True, 0.85), (False, 0.25)])
def test_who_votes_one_way_always_counts_less_and_least_where_that_is_unlikely(up: bool, most: float) -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(1), always=12, up=up)
    weights = served_trust(raters, estimates_N, rewards_N, np.ones(len(raters))).weights
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12)]) < most


@pytest.mark.parametrize("seed", range(5))
def test_honest_raters_hardly_differ(seed: int) -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(seed))
    weights = list(served_trust(raters, estimates_N, rewards_N, np.ones(len(raters))).weights.values())
    assert np.std(weights) < 0.25 and np.mean(weights) == pytest.approx(1.0, abs=0.05)


def test_the_weights_keep_the_busy_from_deciding_who_goes_along() -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(2))
    # 3 raters vote the opposite 300 times each: more votes than all others have
    estimates_N = np.concatenate([estimates_N, np.tile([0.2, 0.5, 0.95], 300)])
    rewards_N = np.concatenate([rewards_N, np.tile([1.0, 0.5, 0.0], 300)])
    raters += [f"busy{number % 3}" for number in range(900)]
    blind = served_trust(raters, estimates_N, rewards_N, np.ones(len(raters)))
    weights_N = np.array([0.04 if rater.startswith("busy") else 1.0 for rater in raters])
    seen = served_trust(raters, estimates_N, rewards_N, weights_N)
    # by all votes alike, what served foretells the opposite: nobody is told apart
    assert set(blind.weights.values()) == {1.0}
    assert seen.weights["busy0"] == 0 and seen.weights["r00"] > 0.5


def test_where_nothing_can_be_known_all_are_trusted_alike() -> None:
    ones_N = np.ones(4)
    assert served_trust(list("aabb"), ones_N / 2, np.array([1.0, 0, 1, 0]), ones_N).weights == {"a": 1.0, "b": 1.0}
    assert served_trust(list("aabb"), np.array([0.1, 0.9, 0.1, np.nan]), ones_N, ones_N) == RaterTrust()
    assert served_trust([], np.ones(0), np.ones(0), np.ones(0)) == RaterTrust()
    one_rater = served_trust(list("aaaa"), np.array([0.1, 0.9, 0.2, 0.8]), np.array([0.0, 1, 0, 1]), ones_N)
    assert one_rater.weights == {"a": 1.0}
