"""What every feedback store does with runs and their leases."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from thumbwheel.errors import Fenced, RunInProgress
from thumbwheel.records import GateResult, Run, RunState, RunStep
from thumbwheel.store.port import FeedbackStore, Lease

OpenStore = Callable[[], FeedbackStore]
LONG_S = 3_600.0


def run(run_id: str = "run-1", policy: str = "bank", started_us: int = 1) -> Run:
    return Run(run_id, policy, RunState.RUNNING, RunStep.FREEZE, "v1", started_us)


def test_one_holder_at_a_time(store: FeedbackStore) -> None:
    lease = store.acquire_lease("bank", "run-1", LONG_S)
    assert (lease.policy, lease.holder) == ("bank", "run-1")
    with pytest.raises(RunInProgress, match="run-1"):
        store.acquire_lease("bank", "run-2", LONG_S)
    assert store.acquire_lease("other", "run-2", LONG_S).holder == "run-2"
    store.release_lease(lease)
    assert store.acquire_lease("bank", "run-2", LONG_S).fence > lease.fence


def test_an_expired_lease_can_be_taken_and_fences_the_old_holder(store: FeedbackStore) -> None:
    old = store.acquire_lease("bank", "run-1", -1.0)
    new = store.acquire_lease("bank", "run-2", LONG_S)
    assert new.fence > old.fence
    with pytest.raises(Fenced, match="lost its lease"):
        store.renew_lease(old, LONG_S)
    with pytest.raises(Fenced):
        store.save_run(run(), old)
    store.release_lease(old)  # nothing happens
    store.save_run(run("run-2"), new)
    assert store.run("run-1") is None


def test_a_holder_that_starts_again_gets_a_higher_fence(store: FeedbackStore, reopen: OpenStore) -> None:
    first = store.acquire_lease("bank", "run-1", LONG_S)
    store.close()
    again = reopen()
    second = again.acquire_lease("bank", "run-1", LONG_S)
    assert second.fence > first.fence
    with pytest.raises(Fenced):
        again.save_run(run(), first)


def test_renewing_keeps_others_out(store: FeedbackStore) -> None:
    lease = store.acquire_lease("bank", "run-1", -1.0)
    longer = store.renew_lease(lease, LONG_S)
    assert (longer.fence, longer.expires_us > lease.expires_us) == (lease.fence, True)
    with pytest.raises(RunInProgress):
        store.acquire_lease("bank", "run-2", LONG_S)


def test_a_released_lease_saves_nothing(store: FeedbackStore) -> None:
    lease = store.acquire_lease("bank", "run-1", LONG_S)
    store.release_lease(lease)
    with pytest.raises(Fenced):
        store.save_run(run(), lease)


def test_of_many_at_once_one_gets_the_lease(store: FeedbackStore) -> None:
    got: list[Lease] = []
    barrier = threading.Barrier(4)

    def race(holder: str) -> None:
        barrier.wait()
        with suppress(RunInProgress):
            got.append(store.acquire_lease("bank", holder, LONG_S))

    threads = [threading.Thread(target=race, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_runs_come_back_whole(store: FeedbackStore, reopen: OpenStore) -> None:
    lease = store.acquire_lease("bank", "run-1", LONG_S)
    store.save_run(run(), lease)
    assert store.run("run-1") == run()
    gates = (
        GateResult("auc", True, 0.75, 0.6, 0.7, 0.8, "fine"),
        GateResult("latency", False, math.inf, 1.5, -math.inf, 9.0, "slow"),
    )
    done = replace(
        run(),
        state=RunState.REJECTED,
        step=RunStep.JUDGE,
        ended_us=9,
        candidate_version="v2",
        watermark=1 << 40,
        votes=3,
        summary="no",
        error="e",
        report_path="/r",
        gates=gates,
    )
    store.save_run(done, lease)
    store.close()
    assert reopen().run("run-1") == done


def test_a_gate_without_an_interval_keeps_its_nan(store: FeedbackStore) -> None:
    gate = GateResult("words", True, 0.0, 0.0, math.nan, math.nan, "none")
    store.save_run(replace(run(), gates=(gate,)), store.acquire_lease("bank", "run-1", LONG_S))
    found = store.run("run-1")
    assert found is not None
    assert math.isnan(found.gates[0].low) and math.isnan(found.gates[0].high)


def test_runs_are_listed_newest_first(store: FeedbackStore) -> None:
    for number, policy in enumerate(["bank", "help", "bank", "bank"]):
        lease = store.acquire_lease(policy, "h", LONG_S)
        store.save_run(run(f"run-{number}", policy, started_us=number), lease)
    assert [found.run_id for found in store.runs()] == ["run-3", "run-2", "run-1", "run-0"]
    assert [found.run_id for found in store.runs("bank", 2)] == ["run-3", "run-2"]
    assert store.runs("nothing") == []
    assert store.run("nothing") is None


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RunState.REJECTED, ["rejected: too close to call"]),
        (RunState.FAILED, ["failed: died"]),
        (RunState.PROMOTED, []),
    ],
)
def test_a_run_that_ends_without_a_version_is_audited_once(
    store: FeedbackStore, state: RunState, said: list[str]
) -> None:
    lease = store.acquire_lease("bank", "run-1", LONG_S)
    store.save_run(run(), lease)
    error = "died" if state is RunState.FAILED else ""
    ended = replace(run(), state=state, ended_us=9, summary="too close to call", error=error)
    for _ in range(2):
        store.save_run(ended, lease)
    trail = store.audit_trail("bank", 10)
    assert [entry.reason for entry in trail] == said
    for entry in trail:
        assert (entry.action, entry.subject, entry.policy, entry.actor) == ("run ended", "run-1", "bank", "retrain")
        assert entry.time_us == 9
