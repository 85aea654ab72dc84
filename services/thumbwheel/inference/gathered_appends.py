"""Appends of many requests, handed to the log together.

Every hand-over to the log's thread and back costs more than the durable write's share of one record: both threads
fight for the interpreter. So there is one hand-over at a time, and what arrives meanwhile goes with the next. On a
fast disk that alone would gather two or three records, so the more callers there were, the longer the next hand-over
waits for more, counted from the begin of the last one. A caller that is alone never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from thumbwheel.bus.port import NewRecord, RecordAppender
from thumbwheel.errors import InvalidInput, ThumbwheelError
from thumbwheel.telemetry.logging import get_logger

logger = get_logger(__name__)

# How long after one hand-over the next begins: so much for each other caller there was, and at most. At 32 callers
# in turn the service spends a fifth less processor time a call than when it hands over at once.
_WAIT_PER_OTHER_S = 0.00025
_MAX_WAIT_S = 0.004

_Waiting = tuple[Sequence[NewRecord], "asyncio.Future[None]"]


class GatheredAppends:
    """A `RecordAppender` over another. Lives on the event loop."""

    def __init__(self, appender: RecordAppender) -> None:
        """Append through `appender`."""
        self._appender = appender
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0  # on the loop's clock

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return when `records` are durable. Raises InvalidInput, LogUnavailable, Overloaded."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, done))
        if self._task is None:
            self._task = asyncio.create_task(self._hand_over(), name="gathered-appends")
        await done

    async def _hand_over(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await asyncio.sleep(max(0.0, self._not_before - loop.time()))
                begun = loop.time()
                batch, self._waiting = self._waiting, []
                await self._append_for(batch)
                others = len(batch) + len(self._waiting) - 1
                self._not_before = begun + min(others * _WAIT_PER_OTHER_S, _MAX_WAIT_S)
        finally:
            self._task = None

    async def _append_for(self, batch: Sequence[_Waiting]) -> None:
        outcome = await self._append([record for records, _ in batch for record in records])
        if isinstance(outcome, InvalidInput) and len(batch) > 1:
            # A record that is too large is its own caller's trouble only; nothing was appended.
            middle = len(batch) // 2
            await self._append_for(batch[:middle])
            await self._append_for(batch[middle:])
        else:
            _settle(batch, outcome)

    async def _append(self, records: Sequence[NewRecord]) -> Exception | None:
        try:
            await self._appender.append(records)
        except ThumbwheelError as error:
            return error
        except Exception as error:
            # A defect belongs to the callers, each of whom would else wait for ever.
            logger.exception("appending failed by a defect")
            return error
        return None


def _settle(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
