"""The canary of a drill decides as the service's does: by thumbs, by length, by time."""

from __future__ import annotations

from random import Random

from thumbwheel.canary.guardrails import Replies
from thumbwheel.config.settings import Canary
from thumbwheel.drill.among_users import Answers, replies_of, try_among_users
from thumbwheel.registry.trial import TrialState

GOOD, BAD = Answers([1.0] * 8 + [0.0] * 2), Answers([1.0] * 3 + [0.0] * 7)


def state(control: Answers, tried: Answers, users: int = 3_000, **limits: float) -> TrialState | None:
    return try_among_users(control, tried, Canary.model_validate(limits), Random(1), users).state


def test_users_say_which_of_two_is_better() -> None:
    assert state(GOOD, BAD) is TrialState.ROLLED_BACK
    assert state(BAD, GOOD) is TrialState.PROMOTED


def test_what_users_can_not_tell_apart_in_time_is_given_up() -> None:
    assert state(GOOD, Answers([1.0] * 77 + [0.0] * 23), users=300) is TrialState.GIVEN_UP


def test_a_canary_that_rambles_is_taken_back_whatever_users_say() -> None:
    short, long = Replies(0, 60, [10] * 60), Replies(0, 60, [50] * 60)
    finding = try_among_users(Answers([0.0], short), Answers([1.0], long), Canary(), Random(1), 300)
    assert finding.state is TrialState.ROLLED_BACK and "reply_length" in finding.sentence


def test_replies_that_say_nothing_are_counted() -> None:
    assert replies_of(["", "I can't help", "Yes."], [0, 4, 2]) == Replies(2, 1, [0, 4, 2])
