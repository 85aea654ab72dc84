"""One hand-over at a time; what arrives meanwhile goes with the next, and each caller hears of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from thumbwheel.bus.port import REQUESTS, NewRecord
from thumbwheel.errors import InvalidInput, LogUnavailable
from thumbwheel.inference.gathered_appends import GatheredAppends


class SlowLog:
    """Appends when it is let go; fails with what is set."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.let_go = asyncio.Event()
        self.error: Exception | None = None
        self.refused = ""

    async def append(self, records: Sequence[NewRecord]) -> None:
        self.batches.append([record.key for record in records])
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        if self.refused in self.batches[-1]:
            raise InvalidInput("payload", "too large")


def record(key: str) -> NewRecord:
    return NewRecord(REQUESTS, key, b"")


async def test_what_arrives_during_an_append_goes_together_with_the_next() -> None:
    log = SlowLog()
    gathered = GatheredAppends(log)
    calls = [asyncio.create_task(gathered.append([record("a")]))]
    while not log.batches:
        await asyncio.sleep(0)
    calls += [asyncio.create_task(gathered.append([record(key), record(key * 2)])) for key in "bcd"]
    await asyncio.sleep(0)
    calls[2].cancel()
    assert log.batches == [["a"]]
    log.let_go.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert log.batches == [["a"], ["b", "bb", "c", "cc", "d", "dd"]]
    assert [type(one) for one in outcomes] == [type(None), type(None), asyncio.CancelledError, type(None)]


@pytest.mark.parametrize("error", [LogUnavailable("full", 1.0), RuntimeError("defect")])
async def test_a_failure_reaches_every_caller_of_its_batch_and_the_next_try_goes_through(error: Exception) -> None:
    log = SlowLog()
    log.let_go.set()
    log.error = error
    gathered = GatheredAppends(log)
    outcomes = await asyncio.gather(*(gathered.append([record(key)]) for key in "ab"), return_exceptions=True)
    assert outcomes == [error, error]
    log.error = None
    await gathered.append([record("c")])
    assert log.batches == [["a", "b"], ["c"]]


async def test_a_record_that_is_refused_is_its_own_callers_trouble_only() -> None:
    log = SlowLog()
    log.let_go.set()
    log.refused = "b"
    gathered = GatheredAppends(log)
    outcomes = await asyncio.gather(*(gathered.append([record(key)]) for key in "abc"), return_exceptions=True)
    assert [type(one) for one in outcomes] == [type(None), InvalidInput, type(None)]
    assert log.batches == [["a", "b", "c"], ["a"], ["b", "c"], ["b"], ["c"]]


async def test_with_company_the_next_hand_over_waits_for_more_alone_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s[0])
    log = SlowLog()
    log.let_go.set()
    gathered = GatheredAppends(log)
    for key in "ab":
        await gathered.append([record(key)])
    await asyncio.gather(*(gathered.append([record(key)]) for key in "cd"))
    assert log.batches == [["a"], ["b"], ["c", "d"]]
    early = asyncio.create_task(gathered.append([record("e")]))
    for _ in range(10):
        await asyncio.sleep(0)
    late = asyncio.create_task(gathered.append([record("f")]))
    await asyncio.sleep(0)
    assert len(log.batches) == 3
    now_s[0] += 0.0011
    await asyncio.gather(early, late)
    assert log.batches[3:] == [["e", "f"]]
