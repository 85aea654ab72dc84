"""The lease on a run: renewed while held, given back, and lost for good once another has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from thumbwheel.errors import Fenced, RunInProgress, Unavailable
from thumbwheel.retrain.lock import RunLease, locked
from thumbwheel.store.port import FeedbackStore, Lease
from thumbwheel.store.sql import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedbackStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield opened
    opened.close()


class Renewals:
    """A store whose renewals are counted, and fail when told to."""

    def __init__(self, store: FeedbackStore) -> None:
        self.acquire_lease = store.acquire_lease
        self.release_lease = store.release_lease
        self.store = store
        self.failure: Exception | None = None
        self.renewed = threading.Semaphore(0)

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        self.renewed.release()
        if self.failure:
            raise self.failure
        return self.store.renew_lease(lease, ttl_s)


def test_one_holder_at_a_time_and_the_next_after_it(store: FeedbackStore) -> None:
    with RunLease(store, "desk", "run-1") as held:
        with pytest.raises(RunInProgress, match="run-1"), RunLease(store, "desk", "run-2"):
            pass
        with RunLease(store, "other", "run-3"):
            held.check()
    with RunLease(store, "desk", "run-2") as next_one:
        assert next_one.lease.fence > held.lease.fence


def test_the_lease_is_renewed_while_it_is_held(store: FeedbackStore) -> None:
    counted = Renewals(store)
    with RunLease(counted, "desk", "run-1", ttl_s=0.2) as held:  # type: ignore[arg-type]
        first = held.lease.expires_us
        for _ in range(3):
            assert counted.renewed.acquire(timeout=10)
        assert held.lease.expires_us > first
        held.check()


def test_a_stale_holder_learns_that_it_is_fenced(store: FeedbackStore) -> None:
    counted = Renewals(store)
    with RunLease(counted, "desk", "run-1", ttl_s=0.2) as stale:  # type: ignore[arg-type]
        taken = store.acquire_lease("desk", "run-1", 60)
        with pytest.raises(Fenced):
            stale.demand()
        stale._renewer.join(10)
        with pytest.raises(Fenced):
            stale.check()
    assert store.renew_lease(taken, 60).fence == taken.fence, "leaving must not release the new holder's lease"


def test_a_store_that_is_away_is_waited_for_until_the_lease_expires(store: FeedbackStore) -> None:
    counted = Renewals(store)
    counted.failure = Unavailable("the database is locked", 1.0)
    with RunLease(counted, "desk", "run-1", ttl_s=0.3) as held:  # type: ignore[arg-type]
        assert counted.renewed.acquire(timeout=10)
        held._renewer.join(10)
        with pytest.raises(Fenced, match="expired"):
            held.check()


def test_a_folder_is_locked_by_one(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(RunInProgress), locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock"):
        pass
