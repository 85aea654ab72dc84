"""Clients that ask and vote until they are stopped, and keep a ledger of what they sent and what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from thumbwheel.client import AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.errors import ThumbwheelError

POLICY = "topics"
CALLERS = 8
_TIMEOUT_S = 10.0
_AFTER_REFUSAL_S = 0.05
_LOOK_S = 0.01
_PATIENCE_S = 180.0


@dataclass(slots=True)
class Ledger:
    """A vote is known by its comment, which is its own; a question by its text.

    A vote of a call that failed may be stored or not: nobody was told. So `votes` (acknowledged) must be in the store,
    and the store must hold none that is not in `sent`.
    """

    asked: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)  # ids of answers that were said to be logged
    not_logged: int = 0
    sent: set[str] = field(default_factory=set)
    votes: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    latency_s: list[float] = field(default_factory=list)  # of acknowledged votes

    @property
    def refusals(self) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in self.refused.most_common()) or "none"


class Load:
    """Callers in a thread of their own."""

    def __init__(self, target: str, ledger: Ledger, callers: int = CALLERS, pause_s: float = 0.0) -> None:
        self._target = target
        self._ledger = ledger
        self._callers = callers
        self._pause_s = pause_s
        self._numbers = itertools.count(len(ledger.asked))
        self._stopped = Event()
        self._calls = ThreadPoolExecutor(1, "load")
        self._running: Future[None] | None = None

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def wait_for(self, votes: int) -> None:
        """Return when `votes` more are acknowledged."""
        wanted, ends = len(self._ledger.votes) + votes, time.monotonic() + _PATIENCE_S
        while len(self._ledger.votes) < wanted:
            if self._running is None or self._running.done() or time.monotonic() > ends:
                raise RuntimeError(f"no votes are acknowledged any more; refused: {self._ledger.refusals}")
            time.sleep(_LOOK_S)

    def __enter__(self) -> Load:
        self._running = self._calls.submit(asyncio.run, self._call())
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._calls.shutdown()
        if self._running is not None:
            self._running.result()

    async def _call(self) -> None:
        retry = RetryPolicy(attempts=4, most_s=0.5)
        async with AsyncClient(self._target, retry=retry, timeout_s=_TIMEOUT_S) as client, asyncio.TaskGroup() as group:
            for number in range(self._callers):
                group.create_task(self._caller(client, f"user-{number}"))

    async def _caller(self, client: AsyncClient, user: str) -> None:
        while not self._stopped.is_set():
            try:
                await self._ask_and_vote(client, user, next(self._numbers))
            except ThumbwheelError as refusal:
                self._ledger.refused[type(refusal).__name__] += 1
                await asyncio.sleep(_AFTER_REFUSAL_S)
            await asyncio.sleep(self._pause_s)

    async def _ask_and_vote(self, client: AsyncClient, user: str, number: int) -> None:
        text, vote, ledger = f"where is my parcel {number}", f"vote {number}", self._ledger
        ledger.asked.add(text)
        answer = await client.classify(text, POLICY, user=user)
        if not answer.receipt.logged:
            ledger.not_logged += 1
            return
        ledger.answers.add(answer.response_id)
        ledger.sent.add(vote)
        began = time.perf_counter()
        await answer.thumbs_up(comment=vote)
        ledger.latency_s.append(time.perf_counter() - began)
        ledger.votes.add(vote)


@contextmanager
def load(target: str, ledger: Ledger, callers: int = CALLERS, pause_s: float = 0.0) -> Iterator[Load]:
    """Let callers ask and vote while the block runs."""
    with Load(target, ledger, callers, pause_s) as running:
        yield running
