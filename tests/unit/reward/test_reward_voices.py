"""What one rater says twice, or often, is not heard twice, or often."""

from __future__ import annotations

import numpy as np
import pytest

from thumbwheel.dataset.voice_limit import MOST, largest_say
from thumbwheel.reward.lessons import limited, voice_weights
from thumbwheel.reward.rated_reply import Lesson, RankedReplies, RatedReply
from thumbwheel.reward.trust import rater_trust


def vote(rater: str, reply: int, up: bool = True, weight: float = 1.0, rating: int = 0) -> RatedReply:
    return RatedReply((1,), (reply,), float(up), weight, rater=rater, rating=rating)


def test_votes_of_one_rater_on_one_reply_share_a_voice() -> None:
    lessons: list[Lesson] = [
        vote("a", 1),
        vote("a", 1, rating=5),
        vote("a", 1, up=False),
        vote("a", 2, weight=2.0),
        vote("b", 1, weight=2.0),
        RankedReplies((1,), ((1,), (2,)), 2, rater="b"),
    ]
    # both raters have 3 of the weight then, so neither is cut
    assert voice_weights(lessons) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2.0, 2.0, 1.0])


def test_where_a_lesson_may_be_anybodys_only_its_weight_counts() -> None:
    lessons = [vote("", 1), vote("", 1), vote("a", 2), vote("a", 2)]
    assert voice_weights(lessons).tolist() == [1.0, 1.0, 0.5, 0.5]


def test_the_busiest_twentieth_has_no_more_than_its_limit() -> None:
    lessons = [vote("busy", reply) for reply in range(81)] + [vote(f"r{rater}", 100 + rater) for rater in range(19)]
    weights_N = voice_weights(lessons)
    assert largest_say(weights_N, [one.rater for one in lessons], 1) == pytest.approx(MOST)
    assert limited(weights_N, lessons) == pytest.approx(weights_N)


def test_the_busy_do_not_decide_who_goes_along() -> None:
    """5 honest raters of 8 votes, and one who votes the opposite 100 times."""
    honest = [vote(f"r{rater}", 10 * rater + reply, up=reply % 2 == 0) for rater in range(5) for reply in range(8)]
    lessons = honest + [vote("busy", 100 + number, up=number % 2 == 1) for number in range(100)]
    sides = [one.reply_ids[0] % 2 == 0 for one in lessons]
    estimates = [np.array([2.0 if good else -2.0]) for good in sides]
    assert rater_trust(lessons, estimates).weights == {}  # by all votes alike estimates foretell the opposite
    weights_N = np.array([0.1 if one.rater == "busy" else 1.0 for one in lessons])
    weights = rater_trust(lessons, estimates, weights_N).weights
    # all x are as far from 0: an honest slope s, and b = s (40 - 10) / 50 = .6 s; the prior is 20 votes
    assert weights["busy"] == pytest.approx((-10 + 20 * 0.6) / 30 / 0.6)
    assert weights["r0"] == pytest.approx((8 + 20 * 0.6) / 28 / 0.6)
