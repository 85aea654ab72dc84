"""Votes on labels weighed by voice: by hand for what is said twice, and against crowds that mislead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from thumbwheel.dataset.voice_limit import MOST, largest_say
from thumbwheel.ppo.classify.raters import newest_of_each, weigh_votes
from thumbwheel.ppo.classify.votes import ClassifyVote


def vote(text: str = "hi", label: int = 0, reward: float = 1.0, p: float = 0.5, weight: float = 1.0) -> ClassifyVote:
    others = (1 - p) / 2
    probabilities = tuple(p if place == label else others for place in range(3))
    return ClassifyVote(text, label, probabilities, reward, weight)


def weights(raters: Sequence[str], votes: Sequence[ClassifyVote], trust: bool = True) -> list[float]:
    return [one.weight for one in weigh_votes(raters, votes, trust).votes]


def shares(raters: Sequence[str], votes: Sequence[ClassifyVote], trust: bool = True) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for rater, weight in zip(raters, weights(raters, votes, trust), strict=True):
        sums[rater] += weight / len(votes)
    return sums


def log(flipped: int = 0, each: int = 12, busy: int = 1, seed: int = 0) -> tuple[list[str], list[ClassifyVote]]:
    """60 raters of `each` votes; the first `flipped` of them vote the opposite, `busy` times as often."""
    rng, raters, votes = np.random.default_rng(seed), list[str](), list[ClassifyVote]()
    for rater in range(60):
        for number in range(each * (busy if rater < flipped else 1)):
            p = float(rng.choice([0.2, 0.5, 0.95], p=[0.2, 0.3, 0.5]))
            up = (rng.random() < p) ^ (rng.random() < 0.1) ^ (rater < flipped)
            raters.append(f"r{rater:02}")
            votes.append(vote(f"{rater} {number}", int(rng.integers(3)), 1.0 if up else -1.0, p))
    return raters, votes


def test_what_a_rater_says_again_counts_no_more() -> None:
    # a says twice the same, b and c one thing each: 1/2, 1/2, 1, 1 brought to a mean of 1
    assert weights(["a", "a", "b", "c"], [vote(), vote(), vote(), vote("ho")]) == pytest.approx(
        [2 / 3, 2 / 3, 4 / 3, 4 / 3]
    )


def test_weights_that_votes_came_with_stay_in_proportion() -> None:
    heavy = weights(
        ["a", "a", "b", "b"], [vote("1", weight=1.0), vote("2", weight=3.0), vote("3"), vote("4", weight=3)]
    )
    assert heavy == pytest.approx([0.5, 1.5, 0.5, 1.5])


def test_a_fifth_of_the_raters_that_votes_the_opposite_hardly_counts() -> None:
    raters, votes = log(flipped=12)
    bad = {f"r{rater:02}" for rater in range(12)}
    assert sum(share for rater, share in shares(raters, votes).items() if rater in bad) < 0.05
    blind = sum(share for rater, share in shares(raters, votes, trust=False).items() if rater in bad)
    assert blind == pytest.approx(0.2, abs=0.01)


def test_a_twentieth_that_votes_ten_times_as_often_hardly_counts() -> None:
    raters, votes = log(flipped=3, busy=10)
    bad = {"r00", "r01", "r02"}
    assert sum(rater in bad for rater in raters) / len(raters) > 0.3
    assert sum(share for rater, share in shares(raters, votes).items() if rater in bad) < 0.03
    blind = weigh_votes(raters, votes, trust=False).votes
    for label in range(3):
        here = [place for place, one in enumerate(votes) if one.label == label]
        on_it = np.array([blind[place].weight for place in here])
        assert largest_say(on_it, [raters[place] for place in here], 3) <= MOST + 1e-9


def test_the_busy_do_not_decide_who_goes_along() -> None:
    """9 of 60 give two thirds of the votes: by those, what served would foretell the opposite."""
    raters, votes = log(flipped=9, busy=10)
    bad = {f"r{rater:02}" for rater in range(9)}
    assert sum(rater in bad for rater in raters) / len(raters) > 0.6
    assert sum(share for rater, share in shares(raters, votes).items() if rater in bad) < 0.1


def test_the_mean_weight_is_one_and_nothing_else_changes() -> None:
    raters, votes = log(flipped=6)
    weighed = weigh_votes(raters, votes).votes
    assert np.mean([one.weight for one in weighed]) == pytest.approx(1.0)
    assert [(one.text, one.label, one.reward) for one in weighed] == [(v.text, v.label, v.reward) for v in votes]
    assert weigh_votes([], []).votes == ()


def test_judges_keep_their_newest_votes_up_to_the_limit() -> None:
    # one of 20 judges is busy: 3 votes are left to it, see the limit in whole votes
    voted = [("busy", vote(str(number))) for number in range(50)]
    voted += [(f"r{rater}", vote(str(rater))) for rater in range(19)]
    voted += [("busy", vote("newest"))]
    kept = newest_of_each(voted)
    assert [one.text for rater, one in kept if rater == "busy"] == ["48", "49", "newest"]
    assert len(kept) == 22
    alike = [(f"r{place % 4}", vote()) for place in range(20)]
    assert newest_of_each(alike) == alike
