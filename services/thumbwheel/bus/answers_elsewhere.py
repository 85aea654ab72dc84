"""Votes that are durable at the broker, on answers that another process of this machine gave.

`BrokerVotes` waits for the answers in its own process's outbox. Where several processes serve behind one door, the one
that takes a vote is seldom the one that gave the answer, which may still be in that one's outbox alone: lost with the
disk, it would leave an acknowledged vote behind that counts for no version. So OK for a vote is held back until its own
answers have left the others' outboxes, too. By then the vote has been to the broker and back, which takes about as long
as a relay: the first look nearly always finds nothing. One look serves all votes that wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from thumbwheel.bus.codec import answers_of
from thumbwheel.bus.port import NewRecord, RecordAppender
from thumbwheel.errors import LogUnavailable, Unavailable
from thumbwheel.telemetry.logging import get_logger

Held = Callable[[Collection[str]], Collection[str]]
"""Tells which of these answers are in an outbox of another process. Raises Unavailable."""

logger = get_logger(__name__)

_LOOK_S = 0.005
_RETRY_S = 1.0
_STILL_HELD = "the answer is still on its way to Kafka from the process that gave it; send the vote again"


@dataclass(frozen=True, slots=True)
class _Waiting:
    answers: frozenset[str]
    deadline: float  # on the loop's clock
    done: asyncio.Future[None]


class AnswersElsewhere:
    """A `RecordAppender` of votes over another. Lives on the event loop."""

    def __init__(self, votes: RecordAppender, held: Held, patience_s: float) -> None:
        """Append through `votes`; wait at most `patience_s` seconds while an answer is `held` elsewhere.

        `held` is called on a thread, by one at a time.
        """
        self._votes = votes
        self._held = held
        self._patience_s = patience_s
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return when `records` are durable, and the answers that they are about are in no other process's outbox.

        Raises:
            InvalidInput, Overloaded: as `votes` does; nothing was appended.
            LogUnavailable: not all of that came true in time. The votes may be in the log; sent again under their ids
                they count once.
        """
        await self._votes.append(records)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        answers = frozenset(answer for record in records for answer in answers_of(record))
        self._waiting.append(_Waiting(answers, loop.time() + self._patience_s, done))
        if self._task is None:
            self._task = asyncio.create_task(self._look(), name="answers-elsewhere")
        await done

    async def _look(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                still = await self._look_for(asked)
                if still:
                    self._waiting += still
                    await asyncio.sleep(_LOOK_S)
        finally:
            self._task = None

    async def _look_for(self, asked: Sequence[_Waiting]) -> list[_Waiting]:
        """Settle all whose answers are on their way no more, or whose time is over; return the others."""
        held = await self._found(frozenset[str]().union(*(one.answers for one in asked)))
        now, still = asyncio.get_running_loop().time(), list[_Waiting]()
        for one in asked:
            if one.done.done():  # its caller has gone
                continue
            if isinstance(held, Exception):
                one.done.set_exception(held)
            elif one.answers.isdisjoint(held):
                one.done.set_result(None)
            elif now >= one.deadline:
                one.done.set_exception(LogUnavailable(_STILL_HELD, _RETRY_S))
            else:
                still.append(one)
        return still

    async def _found(self, answers: Collection[str]) -> Collection[str] | Exception:
        try:
            return await asyncio.to_thread(self._held, answers)
        except Unavailable as error:
            return LogUnavailable(str(error), error.retry_after_s)
        except Exception as error:
            # A defect belongs to the callers, each of whom would else wait for ever.
            logger.exception("looking for answers in other processes' outboxes failed by a defect")
            return error
