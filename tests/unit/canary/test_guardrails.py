"""Each guardrail stops what it is for, and no version that is like the champion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from thumbwheel.canary.guardrails import Replies, is_empty, rails
from thumbwheel.config.settings import Canary
from thumbwheel.registry.serving_tally import BUCKETS_S, Tally, bucket_of_share, slower_than
from thumbwheel.registry.trial import Served

LIMITS = Canary()


def served(seconds: Any, failures: int = 0) -> Served:
    tally = Tally()
    for duration_s in seconds:
        tally.succeeded(float(duration_s))
    for _ in range(failures):
        tally.failed()
    return tally.so_far()


def broken(control: Served, tried: Served, before: Replies | None = None, now: Replies | None = None) -> list[str]:
    found = rails(control, tried, before or Replies(), now or Replies(), LIMITS)
    return [rail.name for rail in found if rail.broken]


def test_a_tally_puts_times_where_they_belong() -> None:
    counted = served([0.0005, 0.001, 0.0011, 1e6])
    assert (counted.latencies[0], counted.latencies[1], counted.latencies[-1]) == (2, 1, 1)
    assert slower_than(counted.latencies, 0) == (2, 2)
    assert bucket_of_share(counted.latencies, 0.5) == 0
    assert bucket_of_share(counted.latencies, 0.75) == 1
    assert bucket_of_share(counted.latencies, 1.0) == len(BUCKETS_S)
    assert bucket_of_share(Tally().so_far().latencies, 0.5) == -1


def test_a_version_that_fails_is_stopped_and_some_failures_of_both_are_not() -> None:
    steady = np.full(500, 0.05)
    assert broken(served(steady), served(steady, failures=50)) == ["failures"]
    assert broken(served(steady, failures=5), served(steady, failures=6)) == []


def test_a_version_that_is_slow_is_stopped() -> None:
    rng = np.random.default_rng(0)
    quick, as_quick, slow = (rng.lognormal(math.log(0.05) + shift, 0.3, 800) for shift in (0, 0, 1.2))
    assert broken(served(quick), served(as_quick)) == []
    assert broken(served(quick), served(slow)) == ["latency"]
    assert broken(served(quick), served(slow[:100])) == []  # too few to say


def test_the_slow_tail_is_found_though_most_are_quick() -> None:
    times = np.full(800, 0.05)
    tail = times.copy()
    tail[:60] = 2.0
    assert broken(served(times), served(tail)) == ["latency"]


@pytest.mark.parametrize(
    "text", ["", "  \n", "I'm sorry, but I can't help with that.", "I cannot do this", "As an AI I"]
)
def test_nothing_said_and_refusals_are_empty(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize(
    "text", ["Your order is on its way.", "I can help with that.", "We are sorry to hear it; refunded."]
)
def test_other_replies_are_not(text: str) -> None:
    assert not is_empty(text)


def test_a_version_that_says_nothing_is_stopped() -> None:
    assert broken(Served(), Served(), Replies(2, 198), Replies(60, 140)) == ["empty_replies"]
    assert broken(Served(), Served(), Replies(2, 198), Replies(3, 197)) == []
    assert broken(Served(), Served(), Replies(0, 20), Replies(20, 0)) == []  # too few to say


def test_a_version_that_writes_much_more_or_less_is_stopped() -> None:
    rng = np.random.default_rng(1)
    usual, like, long, short = (rng.poisson(mean, 150).tolist() for mean in (20, 22, 60, 5))
    assert broken(Served(), Served(), Replies(0, 150, usual), Replies(0, 150, like)) == []
    for tokens in (long, short):
        assert broken(Served(), Served(), Replies(0, 150, usual), Replies(0, 150, tokens)) == ["reply_length"]


def test_the_interval_of_lengths_is_welchs() -> None:
    rng = np.random.default_rng(2)
    old, new = rng.poisson(20, 80), rng.poisson(43, 60)
    found = rails(Served(), Served(), Replies(0, 80, old.tolist()), Replies(0, 60, new.tolist()), LIMITS)
    [rail] = [one for one in found if one.name == "reply_length"]
    interval = stats.ttest_ind(np.log1p(new), np.log1p(old), equal_var=False).confidence_interval(0.95)
    assert rail.tried == pytest.approx(math.exp((interval.low + interval.high) / 2))
    assert rail.broken == (interval.low > math.log(2))
