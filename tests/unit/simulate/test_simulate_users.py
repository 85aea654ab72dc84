"""Simulated users behave as their record says, and the same again with the same random numbers."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.users import SimulatedUser, crowd_of, label_quality, tags_quality
from thumbwheel.simulate.world import PLEASING_QUALITY, World


def _thumbs(user: SimulatedUser, quality: float, count: int = 20_000) -> list[bool | None]:
    rng = Random(5)
    return [user.thumb(quality, rng) for _ in range(count)]


def test_an_honest_user_judges_by_quality() -> None:
    user = SimulatedUser(noise=0.0)
    assert set(_thumbs(user, PLEASING_QUALITY)) == {True}
    assert set(_thumbs(user, PLEASING_QUALITY - 0.01)) == {False}


@pytest.mark.parametrize(("quality", "expected"), [(1.0, 0.9), (0.0, 0.1)])
def test_noise_turns_that_share_of_thumbs(quality: float, expected: float) -> None:
    thumbs = _thumbs(SimulatedUser(noise=0.1), quality)
    assert thumbs.count(True) / len(thumbs) == pytest.approx(expected, abs=0.01)
    assert None not in thumbs


def test_a_user_rates_what_displeases_more_often_than_what_pleases() -> None:
    user = SimulatedUser(noise=0.2, rates_pleased=0.1, rates_displeased=0.6)
    pleased, displeased = _thumbs(user, 1.0), _thumbs(user, 0.0)
    assert 1 - pleased.count(None) / len(pleased) == pytest.approx(0.1, abs=0.01)
    assert 1 - displeased.count(None) / len(displeased) == pytest.approx(0.6, abs=0.01)
    assert displeased.count(True) / (len(displeased) - displeased.count(None)) == pytest.approx(0.2, abs=0.01)


def test_a_label_is_right_or_wrong() -> None:
    assert label_quality("track", "track") == 1.0
    assert label_quality("track", "refund") == 0.0


def test_a_good_reply_of_the_world_pleases_and_a_rude_one_off_the_point_does_not() -> None:
    world, user, rng = World(0), SimulatedUser(noise=0.0), Random(1)
    request = world.message(rng)
    assert user.thumb(world.reply_quality(request, world.good_reply(request)), rng) is True
    assert user.thumb(world.reply_quality(request, "no idea, go away"), rng) is False


def test_the_same_random_numbers_give_the_same_thumbs() -> None:
    user = SimulatedUser(noise=0.3, rates_pleased=0.5)
    assert _thumbs(user, 1.0) == _thumbs(user, 1.0)


def test_a_user_draws_the_same_number_of_times_whatever_happens() -> None:
    after = []
    for user in (SimulatedUser(noise=0.0), SimulatedUser(rates_pleased=0.0), SimulatedUser(noise=1.0)):
        rng = Random(3)
        user.thumb(1.0, rng)
        after.append(rng.random())
    assert len(set(after)) == 1


def test_a_crowd_has_distinct_users_who_behave_alike() -> None:
    crowd = crowd_of(12, SimulatedUser(noise=0.25, rates_displeased=0.5))
    assert len({user.user_id for user in crowd}) == 12
    assert {(user.noise, user.rates_displeased) for user in crowd} == {(0.25, 0.5)}


@pytest.mark.parametrize("field", ["noise", "rates_pleased", "rates_displeased", "pleasing_quality"])
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_of_0_to_1_are_refused(field: str, share: float) -> None:
    changed: dict[str, Any] = {field: share}
    with pytest.raises(InvalidInput, match=rf"{field}: must lie in \[0, 1\]"):
        replace(SimulatedUser(), **changed)


def test_an_empty_crowd_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 1 user"):
        crowd_of(0)


def test_tags_are_as_good_as_their_entities() -> None:
    truth = ["O", "B-city", "I-city", "B-day"]
    assert tags_quality(truth, truth) == 1.0
    assert tags_quality(["O", "B-city", "I-city", "O"], truth) == pytest.approx(2 / 3)  # 2 * 1 / (2 + 1)
    assert tags_quality(["O", "B-city", "O", "O"], truth) == 0.0
    assert tags_quality(["O", "O"], ["O", "O"]) == 1.0
    assert tags_quality(["O", "B-day"], ["O", "O"]) == 0.0
    assert tags_quality(["O"], truth) == 0.0
