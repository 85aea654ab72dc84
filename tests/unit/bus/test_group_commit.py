"""One thread writes for many: who hears what, and when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from thumbwheel.bus.group_commit import GroupCommitter, Write
from thumbwheel.bus.port import REQUESTS, EventLog, NewRecord
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.errors import InvalidInput, LogUnavailable, Overloaded


class GatedLog:
    """Lets one append through for every `release()`; fails those whose payload is `bad`."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def append(self, records: Sequence[NewRecord]) -> None:
        self.entered.release()
        self.gate.acquire()
        payloads = [record.payload for record in records]
        if b"bad" in payloads:
            raise LogUnavailable("full", 1.0)
        if b"large" in payloads:
            raise InvalidInput("payload", "too large")
        self.batches.append(payloads)


@pytest.fixture
def gated() -> GatedLog:
    return GatedLog()


@pytest.fixture
def committer(gated: GatedLog) -> Iterator[GroupCommitter]:
    made = GroupCommitter(cast(EventLog, gated), max_batch=4, max_queued=6, max_queued_bytes=1_000)
    yield made
    gated.gate.release(100)
    made.close()


def one(payload: str = "x") -> list[NewRecord]:
    return [NewRecord(REQUESTS, "k", payload.encode())]


async def entered(log: GatedLog) -> None:
    """Wait until the writer thread is inside an append."""
    await asyncio.to_thread(log.entered.acquire)


async def started(*appends: asyncio.Task[None]) -> None:
    """Let tasks run to where they wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in appends)


def spawn(committer: GroupCommitter, payload: str) -> asyncio.Task[None]:
    return asyncio.create_task(committer.append(one(payload)))


async def test_callers_that_wait_share_the_next_transaction(gated: GatedLog, committer: GroupCommitter) -> None:
    first = spawn(committer, "a")
    await entered(gated)
    others = [spawn(committer, name) for name in "bcdef"]
    await started(first, *others)
    gated.gate.release(3)
    await asyncio.gather(first, *others)
    assert gated.batches == [[b"a"], [b"b", b"c", b"d", b"e"], [b"f"]]


async def test_no_caller_hears_of_success_before_the_log_does(gated: GatedLog, committer: GroupCommitter) -> None:
    task = spawn(committer, "a")
    await entered(gated)
    await started(task)
    gated.gate.release()
    await task
    assert gated.batches == [[b"a"]]


async def test_a_failing_batch_fails_its_callers_only(gated: GatedLog, committer: GroupCommitter) -> None:
    first = spawn(committer, "a")
    await entered(gated)
    batch = [spawn(committer, name) for name in ("b", "bad", "c", "d")]
    after = spawn(committer, "e")
    await started(first, *batch, after)
    gated.gate.release(3)
    outcomes = await asyncio.gather(*batch, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LogUnavailable] * 4
    await asyncio.gather(first, after)
    assert gated.batches == [[b"a"], [b"e"]]


async def test_a_record_that_is_refused_is_its_own_callers_trouble_only(
    gated: GatedLog, committer: GroupCommitter
) -> None:
    first = spawn(committer, "a")
    await entered(gated)
    batch = [spawn(committer, name) for name in ("b", "large", "c", "d")]
    await started(first, *batch)
    gated.gate.release(20)
    outcomes = await asyncio.gather(*batch, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), InvalidInput, type(None), type(None)]
    await first
    assert sorted(payload for payloads in gated.batches for payload in payloads) == [b"a", b"b", b"c", b"d"]
    assert gated.batches[-1] == [b"c", b"d"]


async def test_the_queue_is_bounded_by_records(gated: GatedLog, committer: GroupCommitter) -> None:
    tasks = [spawn(committer, "a")]
    await entered(gated)
    tasks += [spawn(committer, f"{number}") for number in range(6)]
    await started(*tasks)
    assert committer.queued() == 6
    with pytest.raises(Overloaded) as refused:
        await committer.append(one())
    assert refused.value.retry_after_s > 0
    gated.gate.release(9)
    await asyncio.gather(*tasks)
    assert committer.queued() == 0


async def test_the_queue_is_bounded_by_bytes(gated: GatedLog, committer: GroupCommitter) -> None:
    first = spawn(committer, "a")
    await entered(gated)
    large = spawn(committer, "x" * 900)
    await started(first, large)
    with pytest.raises(Overloaded):
        await committer.append(one("y" * 101))
    small = spawn(committer, "y" * 100)
    await started(small)
    gated.gate.release(3)
    await asyncio.gather(first, large, small)


async def test_a_caller_with_many_records_is_one_transaction(gated: GatedLog, committer: GroupCommitter) -> None:
    gated.gate.release()
    await committer.append(one() * 20)
    assert [len(batch) for batch in gated.batches] == [20]


async def test_a_cancelled_caller_leaves_the_others_alone(gated: GatedLog, committer: GroupCommitter) -> None:
    first = spawn(committer, "a")
    await entered(gated)
    gone, stays = spawn(committer, "b"), spawn(committer, "c")
    await started(gone, stays)
    gone.cancel()
    gated.gate.release(2)
    await asyncio.gather(first, stays)
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert gated.batches == [[b"a"], [b"b", b"c"]]


def test_a_closed_event_loop_does_not_end_the_thread(gated: GatedLog, committer: GroupCommitter) -> None:
    async def abandon() -> None:
        task = spawn(committer, "a")
        await entered(gated)
        task.cancel()

    asyncio.run(abandon())
    gated.gate.release(2)
    committer.append_blocking(one("b"))
    assert gated.batches == [[b"a"], [b"b"]]


def test_a_defect_reaches_the_caller_and_the_thread_goes_on(
    gated: GatedLog, committer: GroupCommitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated.gate.release(2)
    with monkeypatch.context() as broken:
        broken.setattr(gated, "batches", None)
        with pytest.raises(AttributeError):
            committer.append_blocking(one("a"))
    committer.append_blocking(one("b"))
    assert gated.batches == [[b"b"]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_broken_observer_leaves_nobody_waiting(gated: GatedLog) -> None:
    def broken(_write: Write) -> None:
        raise ZeroDivisionError

    committer = GroupCommitter(cast(EventLog, gated), max_batch=1, on_write=broken)
    durable, waiting = spawn(committer, "a"), spawn(committer, "b")
    await entered(gated)
    await started(durable, waiting)
    gated.gate.release()
    await durable
    with pytest.raises(LogUnavailable, match="writer has ended"):
        await waiting
    with pytest.raises(LogUnavailable):
        await committer.append(one())
    committer.close()


def test_blocking_callers_hear_the_error(gated: GatedLog, committer: GroupCommitter) -> None:
    gated.gate.release(2)
    committer.append_blocking(one("fine"))
    with pytest.raises(LogUnavailable, match="full"):
        committer.append_blocking(one("bad"))


async def test_close_finishes_what_is_in_flight_and_refuses_the_rest(gated: GatedLog) -> None:
    committer = GroupCommitter(cast(EventLog, gated), max_batch=1)
    tasks = [spawn(committer, name) for name in "abc"]
    await entered(gated)
    await started(*tasks)
    closing = asyncio.create_task(asyncio.to_thread(committer.close))
    gated.gate.release(3)
    await asyncio.gather(closing, *tasks)
    assert gated.batches == [[b"a"], [b"b"], [b"c"]]
    with pytest.raises(LogUnavailable, match="stopping"):
        await committer.append(one())


def test_what_was_acknowledged_is_in_the_log(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.sqlite")
    committer = GroupCommitter(log, max_batch=64)

    async def many() -> None:
        await asyncio.gather(*(committer.append(one(f"{number}")) for number in range(500)))

    asyncio.run(many())
    assert {int(record.payload) for record in log.read(REQUESTS, 0, 0, 1_000)} == set(range(500))
    committer.close()
    log.close()
