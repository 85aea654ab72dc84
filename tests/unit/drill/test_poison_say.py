"""What a group did to a label's reward, by hand."""

from __future__ import annotations

import math

import pytest

from thumbwheel.drill.poison_say import say_on
from thumbwheel.ppo.classify.votes import ClassifyVote

P = (0.5, 0.5)


def test_the_reward_moves_by_the_groups_share_times_the_difference() -> None:
    votes = [
        ("a", ClassifyVote("1", 0, P, 1.0, 3.0)),
        ("b", ClassifyVote("2", 0, P, -1.0, 1.0)),
        ("x", ClassifyVote("3", 0, P, -1.0, 1.0)),
        ("x", ClassifyVote("4", 1, P, 1.0, 9.0)),
    ]
    say = say_on(0, votes, frozenset({"x", "not here"}))
    # without x: 3 of 4 are up; with it 3 of 5; it has a fifth of the weight
    assert [say.reward, say.without, say.share] == pytest.approx([0.6, 0.75, 0.2])
    assert say.moved == pytest.approx(0.15)
    assert say.moved == pytest.approx(say.share * abs(0.75 - 0.0))
    # 1 of 3 raters, all of whom voted on it: 2 x 1 / 3
    assert say.bound == pytest.approx(2 / 3) and say.holds


def test_a_label_that_nobody_else_voted_on_has_no_reward_without_the_group() -> None:
    say = say_on(0, [("x", ClassifyVote("1", 0, P, 1.0)), ("a", ClassifyVote("2", 1, P, 1.0))], frozenset({"x"}))
    assert math.isnan(say.without) and say.bound == 1.0 and say.holds
