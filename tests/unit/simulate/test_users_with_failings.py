"""Users with failings and users who mislead: each changes the thumbs its record says, by hand-worked shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.mixed_crowd import SORTS, mixed_crowd, read_part
from thumbwheel.simulate.poisoners import Brigadier, Flipper, Spammer, Sybil
from thumbwheel.simulate.shown import Rater, Shown
from thumbwheel.simulate.tempers import Drifting, LabelBias, LengthBias, Moody
from thumbwheel.simulate.users import SimulatedUser

GOOD, BAD = Shown(1.0, "refund"), Shown(0.0, "refund")
HONEST = SimulatedUser("ann", noise=0.0)
MUTE = SimulatedUser("mia", rates_pleased=0.0, rates_displeased=0.0)


def share_up(user: Rater, shown: Shown, count: int = 20_000) -> float:
    rng = Random(7)
    votes = [user.vote(shown, rng) for _ in range(count)]
    assert None not in votes
    return votes.count(True) / count


def test_a_label_bias_turns_its_share_of_that_label_only() -> None:
    user = LabelBias(HONEST, "refund", up=False, strength=0.25)
    assert share_up(user, GOOD) == pytest.approx(0.75, abs=0.01)
    assert share_up(user, BAD) == 0.0
    assert share_up(user, replace(GOOD, answer="track")) == 1.0


def test_a_length_bias_likes_what_is_long_enough() -> None:
    user = LengthBias(HONEST, words=3, strength=0.4)
    assert share_up(user, replace(BAD, answer="one two three")) == pytest.approx(0.4, abs=0.01)
    assert share_up(user, replace(BAD, answer="one two")) == 0.0


@pytest.mark.parametrize(
    ("passed", "good", "bad"),
    # sin(2 pi x 2 x passed): 1 at an eighth, 0 at the beginning, -1 at three eighths, sin(30 degrees) = 1/2 at 1/24
    [(1 / 8, 1.0, 0.6), (0.0, 1.0, 0.0), (3 / 8, 0.4, 0.0), (1 / 24, 1.0, 0.3)],
)
def test_a_mood_sways_by_its_strength(passed: float, good: float, bad: float) -> None:
    user = Moody(HONEST, swings=2.0, strength=0.6)
    assert share_up(user, replace(GOOD, passed=passed)) == pytest.approx(good, abs=0.01)
    assert share_up(user, replace(BAD, passed=passed)) == pytest.approx(bad, abs=0.01)


@pytest.mark.parametrize(("passed", "up"), [(0.2, 1.0), (0.5, 0.75), (0.8, 0.0), (0.95, 0.0)])
def test_a_drift_turns_evenly_from_the_first_taste_to_the_last(passed: float, up: float) -> None:
    # begins at .4 and takes .4: a quarter has turned at .5
    user = Drifting(HONEST, Flipper(HONEST), begins=0.4, over=0.4)
    assert share_up(user, replace(GOOD, passed=passed)) == pytest.approx(up, abs=0.01)


def test_a_drift_over_nothing_turns_at_once() -> None:
    user = Drifting(HONEST, Flipper(HONEST), begins=0.5)
    assert share_up(user, replace(GOOD, passed=0.499)) == 1.0
    assert share_up(user, replace(GOOD, passed=0.5)) == 0.0


def test_a_spammer_looks_at_nothing() -> None:
    assert share_up(Spammer(ups=0.8), BAD) == pytest.approx(0.8, abs=0.01)
    assert share_up(Spammer(ups=1.0), BAD) == 1.0


def test_a_brigade_votes_as_agreed_on_its_target_and_as_its_cover_elsewhere() -> None:
    user = Brigadier(HONEST, answer="refund", version="v2", up=True, instead="track")
    assert share_up(user, Shown(0.0, "refund", version="v2")) == 1.0
    assert share_up(user, Shown(0.0, "refund", version="v1")) == 0.0
    assert share_up(user, Shown(1.0, "track", version="v1")) == 0.0
    assert share_up(user, Shown(1.0, "cancel", version="v1")) == 1.0


def test_a_brigade_after_a_version_votes_on_all_its_answers() -> None:
    user = Brigadier(HONEST, version="v2")
    assert share_up(user, Shown(1.0, "track", version="v2")) == 0.0
    assert share_up(user, Shown(1.0, "track", version="v1")) == 1.0


def test_a_sybil_stops_at_its_limit() -> None:
    user, rng = Sybil(Flipper(HONEST), most=2), Random(0)
    assert [user.vote(replace(GOOD, turn=turn), rng) for turn in range(4)] == [False, False, None, None]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda like: LabelBias(like, "refund"),
        lambda like: LengthBias(like, words=1),
        lambda like: Moody(like, phase=0.25, strength=1.0),
        lambda like: Drifting(like, like),
        Flipper,
    ],
)
def test_who_does_not_rate_is_given_no_vote(wrapped: Callable[[Rater], Rater]) -> None:
    assert wrapped(MUTE).vote(GOOD, Random(0)) is None
    assert wrapped(MUTE).user_id == "mia"


@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_draws_as_often_whatever_it_thinks(sort: str) -> None:
    text = f"{sort}:0.5" + {"label-bias": ":label=refund", "brigade": ":answer=refund"}.get(sort, "")
    after = []
    for shown in (GOOD, BAD, replace(GOOD, answer="track", passed=0.9, turn=9)):
        rng = Random(3)
        read_part(text).user(SimulatedUser()).vote(shown, rng)
        after.append(rng.random())
    assert len(set(after)) == 1


def test_parts_are_read_and_take_their_share_of_the_crowd() -> None:
    parts = [read_part("brigade:0.05:answer=refund,up=yes"), read_part("sybils:0.2:most=3"), read_part("silent:0.1")]
    crowd = mixed_crowd(40, SimulatedUser(noise=0.2), parts)
    assert [type(user).__name__ for user in crowd].count("Brigadier") == 2
    assert [user.most for user in crowd if isinstance(user, Sybil)] == [3] * 8
    plain = [user for user in crowd if isinstance(user, SimulatedUser)]
    assert sorted((user.noise, user.rates_pleased) for user in plain) == [(0.2, 0.05)] * 4 + [(0.2, 1.0)] * 26
    assert len({user.user_id for user in crowd}) == 40


def test_a_share_that_rounds_to_nobody_is_one() -> None:
    crowd = mixed_crowd(10, SimulatedUser(), [read_part("flipped:0.01")])
    assert [type(user).__name__ for user in crowd].count("Flipper") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("angry:0.5", "no sort of users: use one of noisy, silent"),
        ("moody:1.5", r"share: must lie in \[0, 1\]"),
        ("moody", "share: '' is not a number"),
        ("moody:0.5:temper=3", "moody has no option 'temper': it has swings, phase, strength"),
        ("moody:0.5:strength=much", "strength: 'much' is not a number"),
        ("sybils:0.5:most=2.5", "most: '2.5' is not a whole number"),
        ("sybils:0.5:most=0", "most: must be at least 1"),
        ("brigade:0.5:up=yes", "a brigade has a target"),
        ("brigade:0.5:answer=a,up=1", "up: '1' is not yes or no"),
        ("label-bias:0.5", "label: must be named"),
        ("length-bias:0.5:words=0", "words: must be at least 1"),
        ("moody:0.5:swings=-1", "swings: must be at least 0"),
        ("spammer:0.5:ups=2", r"ups: must lie in \[0, 1\]"),
    ],
)
def test_a_part_that_can_not_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_part(text)


def test_parts_that_are_more_than_all_are_refused() -> None:
    with pytest.raises(InvalidInput, match="more than all 10 users"):
        mixed_crowd(10, SimulatedUser(), [read_part("flipped:0.6"), read_part("spammer:0.6")])
