"""A lease on what the registry says: who renews it, and when it lapses."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from thumbwheel.errors import Unavailable
from thumbwheel.inference.lease import Lease, LeaseHolder
from thumbwheel.inference.swap import ServedPolicies

LENGTH_S = 10.0
PATIENCE_S = 0.05


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeWitness:
    """Answers with a number, with None for "I can't read it either", or not at all."""

    def __init__(self, answer: int | None | Exception) -> None:
        self.answer = answer

    async def generation(self) -> int | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def away() -> int:
    raise Unavailable("the database is away", 1.0)


def test_a_lease_without_end_never_lapses() -> None:
    assert not Lease().lapsed


def test_a_lease_holds_from_its_renewal_for_its_length_and_not_before_the_first() -> None:
    clock = Clock()
    lease = Lease(LENGTH_S, clock)
    seen = [lease.lapsed]
    lease.renew(clock.now)
    for later_s in (LENGTH_S, 0.001):
        clock.now += later_s
        seen.append(lease.lapsed)
    assert seen == [True, False, True]


def test_a_renewal_that_was_asked_for_earlier_takes_nothing_away() -> None:
    clock = Clock()
    lease = Lease(LENGTH_S, clock)
    lease.renew(100.0)
    lease.renew(95.0)
    clock.now = 109.0
    assert not lease.lapsed


def test_without_a_lease_nobody_is_chosen_and_nothing_counts_as_served() -> None:
    policies = ServedPolicies(Lease(LENGTH_S, Clock()))
    policies.all_tried()
    with pytest.raises(Unavailable, match="lost sight of the registry") as refused:
        policies.choose("desk", "")
    assert refused.value.retry_after_s == 0.5
    assert not policies.serving


@pytest.mark.parametrize(
    ("witness", "followed", "holds"),
    [
        pytest.param(7, 7, True, id="nothing has moved"),
        pytest.param(8, 7, False, id="a channel has moved"),
        pytest.param(None, 7, True, id="nobody can read the registry"),
        pytest.param(ConnectionError("gone"), 7, False, id="nobody answers"),
        pytest.param(7, None, False, id="nothing was ever followed"),
    ],
)
async def test_where_the_registry_is_away_the_witness_decides(
    witness: int | None | Exception, followed: int | None, holds: bool
) -> None:
    lease = Lease(LENGTH_S)
    with closing(LeaseHolder(lease, away, lambda: followed, FakeWitness(witness))) as holder:
        await holder.renew_once(PATIENCE_S)
    assert lease.lapsed is not holds


async def test_reading_the_registry_renews_whatever_the_witness_says() -> None:
    lease = Lease(LENGTH_S)
    with closing(LeaseHolder(lease, lambda: 8, lambda: 7, FakeWitness(9))) as holder:
        await holder.renew_once(PATIENCE_S)
    assert not lease.lapsed


async def test_a_registry_that_hangs_is_asked_once_and_counts_as_away() -> None:
    lease, asked, released = Lease(LENGTH_S), list[int](), threading.Event()

    def hang() -> int:
        asked.append(1)
        released.wait()
        return 1

    with closing(LeaseHolder(lease, hang, lambda: 7, FakeWitness(ConnectionError("gone")))) as holder:
        for _ in range(3):
            await holder.renew_once(0.01)
        waited = lease.lapsed
        released.set()
        await holder.renew_once(5.0)
    assert (len(asked), waited, lease.lapsed) == (1, True, False)
