"""Requests that arrive together are computed together, on one thread, behind a bounded queue: for any encoder."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, Protocol, TypeVar

from thumbwheel.errors import InvalidInput, Overloaded, Unavailable
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import QueueMetrics

logger = get_logger(__name__)

_CLOSED = "the engine of this version is closed: try again"

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class BatchSettings(Protocol):
    """How much is computed together, and how much may wait. Sections of the configuration have it."""

    @property
    def max_batch(self) -> int:
        """Requests computed together at most."""

    @property
    def max_wait_ms(self) -> float:
        """Milliseconds a request waits for others to join it."""

    @property
    def queue_limit(self) -> int:
        """Requests waiting; more are refused."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Question, Answer]):
    question: Question
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batches(Generic[Question, Answer]):
    """The queue before one engine, and what computes it.

    `compute` is called on the executor's thread, with at least one question, and answers each or says what is wrong
    with it.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[Sequence[Question]], Sequence[Answer | InvalidInput]],
        settings: BatchSettings,
        executor: Executor,
        metrics: QueueMetrics,
    ) -> None:
        """Queue under `name`: that of the section of the settings, and in metrics."""
        self._name = name
        self._compute = compute
        self._settings = settings
        self._executor = executor
        self._metrics = metrics
        self._queue: deque[_Waiting[Question, Answer]] = deque()
        self._arrived = asyncio.Event()
        self._batch_s = 0.01
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def healthy(self) -> bool:
        """Whether it can still compute."""
        return self._worker is None or not self._worker.done()

    @property
    def waiting(self) -> int:
        """Questions in the queue."""
        return len(self._queue)

    async def ask(self, question: Question) -> Answer:
        """Return the answer. Cancelling the call takes the question out of the queue.

        Raises:
            InvalidInput: what `compute` says of the question.
            Overloaded: the queue is full.
            Unavailable: closed, or the model failed.
        """
        self._demand_room()
        waiting: _Waiting[Question, Answer] = _Waiting(question)
        self._queue.append(waiting)
        self._arrived.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=f"{self._name}-batches")
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            raise

    async def close(self) -> None:
        """Stop computing. Questions still waiting fail."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._fail(list(self._queue), Unavailable(_CLOSED, retry_after_s=0.1))
        self._queue.clear()
        await asyncio.to_thread(gc.collect)

    def _demand_room(self) -> None:
        if self._closed:
            raise Unavailable(_CLOSED, retry_after_s=0.1)
        limit = self._settings.queue_limit
        if len(self._queue) >= limit:
            batches = limit / self._settings.max_batch
            raise Overloaded(
                f"{limit} texts are waiting, the most that is taken ({self._name}.queue_limit): try again later",
                retry_after_s=round(min(30.0, max(0.01, batches * self._batch_s / 2)), 3),
            )

    async def _work(self) -> None:
        while True:
            batch = await self._next_batch()
            started = monotonic()
            try:
                answers = await self._computed(batch)
            except (RuntimeError, ValueError, IndexError):
                # A model can fail on one odd text: its neighbours in the batch may be tried again.
                logger.exception("a batch failed", queue=self._name, texts=len(batch))
                self._fail(batch, Unavailable("the model failed on this text or one computed with it", 1.0))
                continue
            except asyncio.CancelledError:
                self._fail(batch, Unavailable(_CLOSED, retry_after_s=0.1))
                raise
            self._batch_s += 0.1 * (monotonic() - started - self._batch_s)
            self._metrics.batch_size.observe(len(batch), queue=self._name)
            _resolve(batch, answers)

    async def _computed(self, batch: Sequence[_Waiting[Question, Answer]]) -> Sequence[Answer | InvalidInput]:
        if not batch:
            return []
        questions = [waiting.question for waiting in batch]
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._compute, questions)

    async def _next_batch(self) -> list[_Waiting[Question, Answer]]:
        """Wait for a question, then up to `max_wait_ms` for others to join it."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self._queue) < self._settings.max_batch and self._settings.max_wait_ms:
            await asyncio.sleep(self._settings.max_wait_ms / 1e3)
        batch: list[_Waiting[Question, Answer]] = []
        while self._queue and len(batch) < self._settings.max_batch:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _fail(self, batch: Sequence[_Waiting[Question, Answer]], error: Unavailable) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)


def _resolve(batch: Sequence[_Waiting[Question, Answer]], answers: Sequence[Answer | InvalidInput]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.answer.done():
            continue
        if isinstance(answer, InvalidInput):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
