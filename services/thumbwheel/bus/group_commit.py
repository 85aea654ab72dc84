"""Group commit: many concurrent callers, one durable write.

A single thread drains a bounded queue; whatever waits when the thread comes back from the disk goes into its next
transaction. Callers hear of success only after that transaction is durable, of failure with the log's own error.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from thumbwheel.bus.port import DurableAppender, NewRecord
from thumbwheel.errors import InvalidInput, LogUnavailable, Overloaded

_Outcome = BaseException | None
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Write:
    """One durable write, for metrics. `problem` is None where it succeeded."""

    records: int
    seconds: float
    problem: BaseException | None


def _unobserved(_write: Write) -> None: ...


class _Waiting:
    """Records of one caller. `loop` is None for a caller that blocks."""

    __slots__ = ("loop", "records", "settle", "size")

    def __init__(
        self,
        records: Sequence[NewRecord],
        loop: asyncio.AbstractEventLoop | None,
        settle: Callable[[_Outcome], None],
    ) -> None:
        self.records = records
        self.loop = loop
        self.settle = settle
        self.size = sum(len(record.payload) for record in records)


class GroupCommitter:
    """Appends for many callers through one writer thread.

    `max_queued` records or `max_queued_bytes` of payloads may wait; more callers are refused with `Overloaded`.
    `on_write` hears of every write, on the writer thread.
    """

    def __init__(
        self,
        log: DurableAppender,
        max_batch: int,
        max_queued: int = 10_000,
        max_queued_bytes: int = 64 << 20,
        on_write: Callable[[Write], None] = _unobserved,
    ) -> None:
        """Start the writer thread. `max_batch`: records one transaction takes, unless one caller brings more."""
        self._log = log
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._on_write = on_write
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._queued_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Append all of `records` or none; return when they are durable.

        A caller that is cancelled meanwhile may find its records appended or not.

        Raises:
            InvalidInput: one of `records` can not be appended, whatever others wait beside; nothing was.
            LogUnavailable: nothing was acknowledged.
            Overloaded: too many are waiting; nothing was appended.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(outcome: _Outcome) -> None:
            if done.done():
                return
            if outcome is None:
                done.set_result(None)
            else:
                done.set_exception(outcome)

        self._enqueue(_Waiting(records, loop, settle))
        await done

    def append_blocking(self, records: Sequence[NewRecord]) -> None:
        """Do what `append` does, for a caller that is not on an event loop."""
        done: Future[None] = Future()

        def settle(outcome: _Outcome) -> None:
            if outcome is None:
                done.set_result(None)
            else:
                done.set_exception(outcome)

        self._enqueue(_Waiting(records, None, settle))
        done.result()

    def queued(self) -> int:
        """Return how many records wait for the next transaction."""
        with self._changed:
            return self._queued

    def close(self) -> None:
        """Refuse new callers, finish what is in flight, end the thread. The log stays open."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> None:
        with self._changed:
            if self._closed:
                raise LogUnavailable("the event log is closed: the service is stopping", _RETRY_S)
            if self._queued and (
                self._queued + len(waiting.records) > self._max_queued
                or self._queued_bytes + waiting.size > self._max_queued_bytes
            ):
                raise Overloaded("too many events wait for the disk; try again", _RETRY_S)
            self._queue.append(waiting)
            self._queued += len(waiting.records)
            self._queued_bytes += waiting.size
            self._changed.notify()

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._write(batch)
        finally:
            self._abandon()

    def _write(self, batch: Sequence[_Waiting]) -> None:
        """Append for all callers of `batch`. A record that the log refuses is its own caller's trouble only."""
        started = time.monotonic()
        records = [record for waiting in batch for record in waiting.records]
        outcome = self._commit(records)
        if isinstance(outcome, InvalidInput) and len(batch) > 1:
            # Nothing was appended. By halves it takes few writes to find whose it is, however many callers there are.
            middle = len(batch) // 2
            self._write(batch[:middle])
            self._write(batch[middle:])
            return
        try:
            self._on_write(Write(len(records), time.monotonic() - started, outcome))
        finally:
            _settle(batch, outcome)

    def _abandon(self) -> None:
        """Leave nobody waiting when the thread ends, even if it was by a defect of `on_write`."""
        with self._changed:
            self._closed = True
            left = list(self._queue)
            self._queue.clear()
        _settle(left, LogUnavailable("the event log's writer has ended", _RETRY_S))

    def _next_batch(self) -> list[_Waiting]:
        """Wait for callers and take as many as fit one transaction; empty when closed and drained."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            batch: list[_Waiting] = []
            taken = 0
            while self._queue and (not batch or taken + len(self._queue[0].records) <= self._max_batch):
                waiting = self._queue.popleft()
                batch.append(waiting)
                taken += len(waiting.records)
                self._queued_bytes -= waiting.size
            self._queued -= taken
            return batch

    def _commit(self, records: Sequence[NewRecord]) -> _Outcome:
        try:
            self._log.append(records)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the callers; the thread must go on
            return error
        return None


def _settle(batch: Sequence[_Waiting], outcome: _Outcome) -> None:
    """Tell every caller; one hop into each event loop, however many of its callers there are."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        if waiting.loop is None:
            waiting.settle(outcome)
        else:
            by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, group in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody is left to hear of it
            loop.call_soon_threadsafe(_settle_all, group, outcome)


def _settle_all(group: Sequence[_Waiting], outcome: _Outcome) -> None:
    for waiting in group:
        waiting.settle(outcome)
