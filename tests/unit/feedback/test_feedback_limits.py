"""The pace of raters, and the service's clock."""

from __future__ import annotations

import threading

import pytest

from thumbwheel.errors import Overloaded
from thumbwheel.feedback.clock import ServerClock
from thumbwheel.feedback.keys import Keys, TokenKey
from thumbwheel.feedback.limits import RaterLimits
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.feedback.voters import Voters


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_refuses_with_a_hint_and_fills_again() -> None:
    time = Time()
    limits = RaterLimits(per_minute=3, clock=time)
    for _ in range(3):
        limits.take("alice")
    with pytest.raises(Overloaded, match="more than 3 votes in a minute") as caught:
        limits.take("alice")
    assert caught.value.retry_after_s == pytest.approx(20.0)
    time.now = 19.9
    with pytest.raises(Overloaded) as caught:
        limits.take("alice")
    assert caught.value.retry_after_s == pytest.approx(0.1)
    time.now = 20.0
    limits.take("alice")


def test_a_bucket_never_holds_more_than_a_minutes_worth() -> None:
    time = Time()
    limits = RaterLimits(per_minute=2, clock=time)
    limits.take("alice")
    time.now = 3600.0
    limits.take("alice")
    limits.take("alice")
    with pytest.raises(Overloaded):
        limits.take("alice")


def test_what_is_given_back_may_be_taken_again_but_is_no_credit() -> None:
    limits = RaterLimits(per_minute=1, clock=Time())
    limits.take("alice")
    limits.give_back("alice")
    limits.give_back("alice")
    limits.give_back("nobody")
    limits.take("alice")
    with pytest.raises(Overloaded):
        limits.take("alice")


def test_raters_do_not_share_a_bucket() -> None:
    limits = RaterLimits(per_minute=1, clock=Time())
    limits.take("alice")
    limits.take("bob")


def test_memory_is_bounded_and_the_latest_are_kept() -> None:
    limits = RaterLimits(per_minute=1, max_raters=10, clock=Time())
    for rater in range(100):
        limits.take(str(rater))
    assert len(limits) == 10
    with pytest.raises(Overloaded):
        limits.take("99")
    limits.take("0")


def test_raters_without_a_user_id_do_not_push_out_those_with_one() -> None:
    signer, raters = TokenSigner(Keys((TokenKey("00000001", b"1" * 32, 0),), b"u" * 32), 3600), Raters(b"u" * 32)
    voters = Voters(signer, raters, *(RaterLimits(per_minute=1, max_raters=3, clock=Time()) for _ in range(2)))

    def vote(user: str, response_id: str) -> None:
        token = signer.sign(response_id, "q", raters.rater(user, response_id), "desk", "v1", 0)
        voters.admit(response_id, token, user, 0)

    vote("alice", "r0")
    for number in range(1, 10):
        vote("", f"r{number}")
    with pytest.raises(Overloaded):
        vote("alice", "r10")
    with pytest.raises(Overloaded):
        vote("", "r9")


def test_the_clock_only_goes_forward() -> None:
    readings = iter([100, 100, 50, 300])
    clock = ServerClock(lambda: next(readings))
    assert [clock.now_us() for _ in range(4)] == [100, 101, 102, 300]


def test_no_two_threads_get_the_same_time() -> None:
    clock = ServerClock(lambda: 7)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.extend(clock.now_us() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(7, 2007))
