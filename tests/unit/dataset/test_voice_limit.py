"""No few raters have much of the say: limits worked out by hand, and the bound held against any group."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from thumbwheel.dataset.voice_limit import (
    MOST,
    bound_on_say,
    brigade_of,
    largest_say,
    limit_voices,
    most_votes,
    one_voice,
)


def names(*counts: int) -> list[str]:
    """Rater 0's votes, then rater 1's, and so on."""
    return [f"u{rater}" for rater, count in enumerate(counts) for _ in range(count)]


def totals(weights_N: np.ndarray, raters: list[str]) -> dict[str, float]:
    return {name: float(weights_N[[one == name for one in raters]].sum()) for name in dict.fromkeys(raters)}


def test_where_all_vote_alike_nobody_is_cut() -> None:
    raters = names(*[7] * 4)  # one of four has a quarter of the say, but no more than the median
    assert limit_voices(np.ones(28), raters, ["x"] * 28).tolist() == [1.0] * 28


def test_the_busiest_twentieth_gets_fifteen_percent_of_the_weight() -> None:
    # one of 20 raters is the twentieth: 81 votes of its own, 19 of others. C / (C + 19) = .15: C = 19 x .15 / .85
    raters = names(81, *[1] * 19)
    found = totals(limit_voices(np.ones(100), raters), raters)
    assert found["u0"] == pytest.approx(19 * 0.15 / 0.85)
    assert [found[f"u{rater}"] for rater in range(1, 20)] == [1.0] * 19
    assert largest_say(limit_voices(np.ones(100), raters), raters, 1) == pytest.approx(MOST)


def test_nobody_is_cut_below_the_median() -> None:
    # of 3, one is the twentieth: 15 % can not be kept, the median of 9, 2 and 4 can
    raters = names(9, 2, 4)
    assert totals(limit_voices(np.ones(15), raters), raters) == pytest.approx({"u0": 4.0, "u1": 2.0, "u2": 4.0})


def test_the_limit_is_kept_on_each_target() -> None:
    # u0 gave 10 of its 20 votes to "a", where 19 others gave one each; on "b" all 20 have votes enough
    raters = [*["u0"] * 10, *names(0, *[1] * 19), *["u0"] * 10, *names(0, *[10] * 19)]
    targets = ["a"] * 29 + ["b"] * 200
    limited_N = limit_voices(np.ones(len(raters)), raters, targets)
    assert limited_N[:10].sum() == pytest.approx(19 * 0.15 / 0.85)
    assert limited_N[10:].tolist() == [1.0] * 219


def test_of_all_votes_the_busiest_fifth_has_a_third() -> None:
    # 2 of 10 vote 50 times, 8 once: one is the twentieth, and of 10 never below .1; 2 C / (2 C + 8) = 1/3: C = 2;
    # but C / (2 C + 8) is .17 there, and 15 % need C = 8 x .15 / .7
    raters = names(50, 50, *[1] * 8)
    assert totals(limit_voices(np.ones(108), raters), raters)["u0"] == pytest.approx(8 * 0.15 / 0.7)
    # 20 of 100 vote 10 times, 80 once: 20 C / (20 C + 80) = 1/3: C = 2; the twentieth has 5 C / 120 = .083 then
    raters = names(*[10] * 20, *[1] * 80)
    limited_N = limit_voices(np.ones(280), raters, ["x"] * 280)
    assert totals(limited_N, raters)["u0"] == pytest.approx(2.0)
    assert largest_say(limited_N, raters, 20) == pytest.approx(1 / 3)


def test_limits_are_of_weights_not_of_counts() -> None:
    raters = names(81, *[1] * 19)
    light_N = np.array([0.01] * 81 + [1.0] * 19)
    assert limit_voices(light_N, raters).tolist() == light_N.tolist()
    assert limit_voices(np.zeros(100), raters).tolist() == [0.0] * 100
    assert limit_voices(np.ones(0), []).tolist() == []


@pytest.mark.parametrize("seed", range(20))
def test_no_group_moves_the_mean_vote_further_than_the_bound(seed: int) -> None:
    """Any 2 of 40, the largest group that the limit is for, whatever they vote, against all others voting the same."""
    rng = np.random.default_rng(seed)
    voters = int(rng.integers(8, 41))
    raters = names(*rng.integers(1, 4, 40).tolist())
    targets = ["other"] * len(raters)
    raters += names(*rng.geometric(0.1, voters).tolist())
    targets += ["target"] * (len(raters) - len(targets))
    weights_N = limit_voices(rng.uniform(0.1, 1.5, len(raters)), raters, targets)
    here = [place for place, target in enumerate(targets) if target == "target"]
    on_it = totals(weights_N[here], [raters[place] for place in here])
    worst = max(sum(pair) for pair in combinations(on_it.values(), 2)) / sum(on_it.values())
    # 2 of 40 raters vote 0 where all others vote 1: the mean falls by their share of the weight
    assert worst <= bound_on_say(2, voters, 40) + 1e-9
    assert bound_on_say(2, voters, 40) == max(0.15, 4 / voters)


def test_the_bound_says_what_it_stands_for() -> None:
    assert [brigade_of(raters) for raters in (1, 20, 21, 200)] == [1, 1, 2, 10]
    assert bound_on_say(10, 200, 200) == MOST  # 2 x 10 / 200 = .10 is less
    assert bound_on_say(10, 50, 200) == pytest.approx(0.4)
    assert bound_on_say(20, 200, 200) == pytest.approx(0.3)  # twice as many have twice as much
    assert bound_on_say(10, 4, 200) == bound_on_say(1, 0, 20) == 1.0


def test_to_say_it_again_says_no_more() -> None:
    raters, things = ["a", "a", "a", "b", "", ""], ["x", "x", "y", "x", "x", "x"]
    assert one_voice(raters, things).tolist() == [0.5, 0.5, 1.0, 1.0, 1.0, 1.0]


def test_the_limit_in_whole_votes() -> None:
    assert most_votes(names(81, *[1] * 19)) == 3  # 19 x .15/.85 = 3.35
    assert most_votes(names(7, 7, 7)) == 7
    assert most_votes([]) == 1
