"""Raters weighed by what served held likely: a case worked out by hand, and crowds of known behaviour."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from thumbwheel.ppo.served_trust import ROUNDS, served_trust


def crowd(
    rng: np.random.Generator, flipped: int = 0, always: int = 0, up: bool = True, votes: int = 12
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """60 raters of `votes` votes each on labels of known probability, 10 % of the thumbs wrong."""
    raters = [f"r{rater:02}" for rater in range(60) for _ in range(votes)]
    estimates_N = rng.choice([0.2, 0.5, 0.95], len(raters), p=[0.2, 0.3, 0.5])
    right_N = rng.random(len(raters)) < estimates_N
    rewards_N = (right_N ^ (rng.random(len(raters)) < 0.1)).astype(float)
    rewards_N[: votes * flipped] = 1 - rewards_N[: votes * flipped]
    rewards_N[votes * flipped : votes * (flipped + always)] = float(up)
    return raters, estimates_N, rewards_N


def believe(raters: list[str], estimates_N: np.ndarray, rewards_N: np.ndarray) -> Mapping[str, float]:
    ones_N = np.ones(len(raters))
    return served_trust(raters, estimates_N, rewards_N, ones_N, ones_N).weights


def naive(raters: list[str], estimates: list[float], votes: list[float]) -> dict[str, float]:
    """Expectation and maximisation in loops, from the formulas alone."""
    x = [math.log(p / (1 - p)) for p in (min(max(p, 0.02), 0.98) for p in estimates)]
    names, believed = sorted(set(raters)), (1.0, 0.5, -1.0, 0.0)
    shares, sorts = [0.7, 0.1, 0.1, 0.1], {name: [1.0, 0.0, 0.0, 0.0] for name in names}
    a, c = 0.0, 0.0
    for turn in range(10 + ROUNDS):
        if turn >= 10:
            for name in names:
                logs = [math.log(share) for share in shares]
                up = down = 0.0
                for rater, one, y in zip(raters, x, votes, strict=True):
                    if rater != name:
                        continue
                    f = min(max(1 / (1 + math.exp(-a - c * one)), 0.02), 0.98)
                    for place, trust in enumerate(believed[:3]):
                        p = 0.5 + trust * (f - 0.5)
                        logs[place] += y * math.log(p) + (1 - y) * math.log(1 - p)
                    up, down = up + y, down + 1 - y
                logs[3] += math.lgamma(up + 1) + math.lgamma(down + 1) - math.lgamma(up + down + 2)
                likely = [math.exp(one - max(logs)) for one in logs]
                sorts[name] = [one / sum(likely) for one in likely]
            shares = [(sum(sorts[name][place] for name in names) + 1) / (len(names) + 4) for place in range(4)]
        slope, curve = [0.0, 0.0], [[1e-3, 0.0], [0.0, 1e-3]]
        for rater, one, y in zip(raters, x, votes, strict=True):
            f, honest, opposite = 1 / (1 + math.exp(-a - c * one)), sorts[rater][0], sorts[rater][2]
            error = honest * y + opposite * (1 - y) - (honest + opposite) * f
            for i, left in enumerate((1.0, one)):
                slope[i] += left * error
                for j, right in enumerate((1.0, one)):
                    curve[i][j] += left * right * (honest + opposite) * f * (1 - f)
        det = curve[0][0] * curve[1][1] - curve[0][1] * curve[1][0]
        a += min(max((curve[1][1] * slope[0] - curve[0][1] * slope[1]) / det, -1), 1)
        c += min(max((curve[0][0] * slope[1] - curve[1][0] * slope[0]) / det, -1), 1)
    found = {name: sum((one * p for one, p in zip(believed, sorts[name], strict=True)), 0.0) for name in names}
    return {name: max(one, 0.0) for name, one in found.items()}


def test_it_is_what_a_naive_loop_finds() -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(0), flipped=12)
    expected = naive(raters, estimates_N.tolist(), rewards_N.tolist())
    assert believe(raters, estimates_N, rewards_N) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_who_votes_the_opposite_counts_nothing_after_a_dozen_votes(seed: int) -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(seed), flipped=12)
    weights = believe(raters, estimates_N, rewards_N)
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12)]) < 0.15
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12, 60)]) > 0.8


@pytest.mark.parametrize("up", [True, False])
def test_who_votes_one_way_always_hardly_counts(up: bool) -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(1), always=12, up=up)
    weights = believe(raters, estimates_N, rewards_N)
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12)]) < 0.15
    assert np.mean([weights[f"r{rater:02}"] for rater in range(12, 60)]) > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_honest_raters_hardly_differ(seed: int) -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(seed))
    weights = list(believe(raters, estimates_N, rewards_N).values())
    assert np.std(weights) < 0.2 and np.mean(weights) > 0.85


def test_who_errs_more_often_than_others_is_half_believed() -> None:
    rng = np.random.default_rng(0)
    raters, estimates_N, rewards_N = crowd(rng, votes=120)
    # 3 in 10 of ten raters' thumbs are wrong, not one: 1/2 + (f - 1/2) / 2 for f = .9 and .1 is .7 and .3
    wrong_N = (np.arange(len(raters)) < 10 * 120) & (rng.random(len(raters)) < 0.25)
    weights = believe(raters, estimates_N, np.where(wrong_N, 1 - rewards_N, rewards_N))
    assert np.mean([weights[f"r{rater:02}"] for rater in range(10)]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([weights[f"r{rater:02}"] for rater in range(10, 60)]) > 0.95


def test_the_weights_keep_the_busy_from_deciding_who_goes_along() -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(2))
    # 3 raters vote the opposite 300 times each: more votes than all others have
    estimates_N = np.concatenate([estimates_N, np.tile([0.2, 0.5, 0.95], 300)])
    rewards_N = np.concatenate([rewards_N, np.tile([1.0, 0.5, 0.0], 300)])
    raters += [f"busy{number % 3}" for number in range(900)]
    ones_N = np.ones(len(raters))
    blind = served_trust(raters, estimates_N, rewards_N, ones_N, ones_N)
    weights_N = np.array([0.04 if rater.startswith("busy") else 1.0 for rater in raters])
    seen = served_trust(raters, estimates_N, rewards_N, ones_N, weights_N)
    # by all votes alike, what served foretells the opposite: nobody is told apart
    assert set(blind.weights.values()) == {1.0}
    assert seen.weights["busy0"] == 0 and seen.weights["r00"] > 0.5


def test_what_is_said_again_tells_nothing_more_of_who_says_it() -> None:
    raters, estimates_N, rewards_N = crowd(np.random.default_rng(3))
    estimates_N, rewards_N = np.append(estimates_N, [0.95] * 50), np.append(rewards_N, [0.0] * 50)
    raters += ["again"] * 50
    ones_N, once_N = np.ones(len(raters)), np.array([0.02 if rater == "again" else 1.0 for rater in raters])
    assert served_trust(raters, estimates_N, rewards_N, once_N, ones_N).weights["again"] > 0.3
    assert served_trust(raters, estimates_N, rewards_N, ones_N, once_N).weights["again"] < 0.01


def test_where_nothing_can_be_known_all_are_trusted_alike() -> None:
    ones_N, raters = np.ones(4), list("aabb")
    assert believe(raters, ones_N / 2, np.array([1.0, 0, 1, 0])) == {"a": 1.0, "b": 1.0}
    assert believe(raters, np.array([0.1, 0.9, 0.1, np.nan]), ones_N) == {}
    assert believe([], np.ones(0), np.ones(0)) == {}
