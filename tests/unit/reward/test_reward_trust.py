"""Trust: by hand, and with planted raters of each sort."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from thumbwheel.reward.rated_reply import Lesson, RankedReplies, RatedReply
from thumbwheel.reward.trust import LEAST, PRIOR_VOTES, RaterTrust, rater_trust


def vote(rater: str, up: bool, reply: int) -> RatedReply:
    return RatedReply((1,), (reply,), float(up), rater=rater)


def logits(*values: float) -> list[np.ndarray]:
    return [np.array([value]) for value in values]


def test_slopes_by_hand() -> None:
    # mean vote 1/2; estimates 0.75 or 0.25, so x = +-1/4 and y = +-1/2: one with the estimate has x y = 1/8
    yes, no = np.log(3), -np.log(3)
    lessons = [
        vote("a", True, 1),
        vote("a", False, 2),
        vote("b", True, 3),
        vote("c", False, 4),
        vote("c", False, 5),
        vote("c", True, 6),
    ]
    found = rater_trust(lessons, logits(yes, no, yes, yes, no, yes)).weights
    slope = (5 - 1) / 8 / (6 / 16)
    prior = PRIOR_VOTES / 16
    naive = {"a": (2, 2), "b": (1, 1), "c": (1, 3)}
    for rater, (agreeing, votes) in naive.items():
        expected = (agreeing / 8 + prior * slope) / (votes / 16 + prior) / slope
        assert found[rater] == pytest.approx(expected, abs=1e-12), rater


def test_other_raters_votes_on_the_same_reply_count_and_ones_own_does_not() -> None:
    # no estimate of its own (logit 0 = 0.5): a and b vote alike on reply 1, c otherwise
    lessons = [vote("a", True, 1), vote("b", True, 1), vote("c", False, 1), vote("d", True, 2), vote("d", False, 3)]
    weights = rater_trust(lessons, logits(0, 0, 0, 3, -3)).weights
    assert weights["a"] == weights["b"] > weights["c"]


def test_who_votes_often_on_one_reply_does_not_vouch_for_himself() -> None:
    # Three honest raters like ten replies and dislike ten; one says sixty times that the first is bad.
    lessons, estimates = [], []
    for reply in range(20):
        for rater in ("a", "b", "c"):
            lessons.append(vote(rater, reply < 10, reply))
            estimates += logits(1 if reply < 10 else -1)
    lessons += [vote("attacker", False, 0)] * 60
    weights = rater_trust(lessons, estimates + logits(1) * 60).weights
    assert weights["attacker"] == LEAST
    assert min(weights[rater] for rater in "abc") > 1


def test_planted_raters_are_told_apart() -> None:
    rng, lessons, estimates = Random(0), [], []
    sorts = {"honest": 0.1, "chance": 0.5, "opposite": 0.9}
    for n in range(4000):
        quality = rng.random()
        sort = rng.choice([*["honest"] * 8, "chance", "opposite", "always"])
        good = rng.random() < quality
        up = True if sort == "always" else good != (rng.random() < sorts[sort])
        lessons.append(vote(f"{sort} {n % 4}", up, n))
        estimates.append(np.array([np.log(quality / (1 - quality))]))
    weights = rater_trust(lessons, estimates).weights
    means = {sort: np.mean([weights[f"{sort} {n}"] for n in range(4)]) for sort in (*sorts, "always")}
    assert means["honest"] > 1.0
    assert means["chance"] < 0.4 and means["always"] < 0.4
    assert means["opposite"] == LEAST


def test_rankings_count_and_few_votes_say_little() -> None:
    def order(rater: str) -> RankedReplies:
        return RankedReplies((1,), ((2,), (3,)), 2, rater=rater)

    with_, against = np.array([2.0, -2.0]), np.array([-2.0, 2.0])
    lessons: list[Lesson] = [*[order("good")] * 40, *[order("bad")] * 10, order("new")]
    weights = rater_trust(lessons, [with_] * 40 + [against] * 10 + [against]).weights
    assert weights["good"] > 1 > weights["new"] > weights["bad"]
    assert weights["new"] > 0.8


def test_estimates_that_foretell_nothing_trust_all_alike() -> None:
    lessons = [vote("a", True, 1), vote("b", False, 2)]
    assert rater_trust(lessons, logits(-1, 1)).of(lessons[0]) == 1.0
    assert rater_trust([], []) == RaterTrust()


def test_figures_name_nobody() -> None:
    assert RaterTrust({"u1": 0.2, "u2": 1.0, "u3": 1.4}).figures() == {
        "raters": 3.0,
        "least": 0.2,
        "median": 1.0,
        "most": 1.4,
        "below_half": 1.0,
    }
    assert RaterTrust().figures() == {"raters": 0.0}
