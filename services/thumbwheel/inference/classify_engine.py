"""The `classify` engine: texts that arrive together are computed together, on one thread, behind a bounded queue."""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import monotonic

import torch
from torch import Tensor

from thumbwheel.config.settings import Classify
from thumbwheel.errors import InvalidInput, Overloaded, Unavailable
from thumbwheel.inference.engine import EngineLimits, Labelled
from thumbwheel.policy.classify import Classifier, likeliest_labels, sample_labels
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import QueueMetrics

logger = get_logger(__name__)

_CLOSED = "the engine of this version is closed: try again"


@dataclass(slots=True, eq=False)
class _Waiting:
    text: str
    greedy: bool
    answer: asyncio.Future[Labelled]


class BatchedClassifyEngine:
    """Serves one version of a classifier. Implements `ClassifyEngine`."""

    kind = PolicyKind.CLASSIFY

    def __init__(self, classifier: Classifier, settings: Classify, executor: Executor, metrics: QueueMetrics) -> None:
        """Compute with `classifier` on `executor`, which has one thread that all classifiers share."""
        self._classifier: Classifier | None = classifier
        self._settings = settings
        self._executor = executor
        self._metrics = metrics
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._batch_s = 0.01
        self._worker: asyncio.Task[None] | None = None
        self.limits = EngineLimits(
            max_input_tokens=classifier.max_tokens,
            labels=classifier.labels,
            probability_floor=settings.probability_floor,
        )

    @property
    def healthy(self) -> bool:
        """Whether it can still compute."""
        return self._worker is None or not self._worker.done()

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return len(self._queue)

    async def warm(self) -> None:
        """Classify something, so that the first user doesn't wait for lazy initialisation."""
        await self.classify("warm", greedy=True)

    async def classify(self, text: str, greedy: bool) -> Labelled:
        """Serve one label. Cancelling the call takes the text out of the queue."""
        self._demand_room()
        waiting = _Waiting(text, greedy or self._settings.mode == "argmax", asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="classify-batches")
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            raise

    async def close(self) -> None:
        """Stop computing and free the model. Texts still waiting fail."""
        self._classifier = None
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._fail(list(self._queue), Unavailable(_CLOSED, retry_after_s=0.1))
        self._queue.clear()
        await asyncio.to_thread(gc.collect)

    def _demand_room(self) -> None:
        if self._classifier is None:
            raise Unavailable(_CLOSED, retry_after_s=0.1)
        limit = self._settings.queue_limit
        if len(self._queue) >= limit:
            batches = limit / self._settings.max_batch
            raise Overloaded(
                f"{limit} texts are waiting, the most that is taken (classify.queue_limit): try again later",
                retry_after_s=round(min(30.0, max(0.01, batches * self._batch_s / 2)), 3),
            )

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._next_batch()
            started = monotonic()
            try:
                answers = await loop.run_in_executor(self._executor, self._compute, batch)
            except (RuntimeError, ValueError, IndexError):
                # A model can fail on one odd text: its neighbours in the batch may be tried again.
                logger.exception("a batch failed", texts=len(batch))
                self._fail(batch, Unavailable("the model failed on this text or one computed with it", 1.0))
                continue
            except asyncio.CancelledError:
                self._fail(batch, Unavailable(_CLOSED, retry_after_s=0.1))
                raise
            self._batch_s += 0.1 * (monotonic() - started - self._batch_s)
            self._metrics.batch_size.observe(len(batch), queue="classify")
            _resolve(batch, answers)

    async def _next_batch(self) -> list[_Waiting]:
        """Wait for a text, then up to `max_wait_ms` for others to join it."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self._queue) < self._settings.max_batch and self._settings.max_wait_ms:
            await asyncio.sleep(self._settings.max_wait_ms / 1e3)
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._settings.max_batch:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _compute(self, batch: Sequence[_Waiting]) -> list[Labelled | InvalidInput]:
        """On the executor's thread, the only one to use model and tokenizer (whose padding settings are state)."""
        classifier = self._classifier
        if classifier is None or not batch:
            return []
        too_long = [_too_long(classifier, waiting.text) for waiting in batch]
        fitting = [waiting for waiting, problem in zip(batch, too_long, strict=True) if problem is None]
        labelled = iter(self._label(classifier, fitting) if fitting else [])
        return [next(labelled) if problem is None else problem for problem in too_long]

    def _label(self, classifier: Classifier, batch: Sequence[_Waiting]) -> list[Labelled]:
        probs_BK = classifier.probabilities([waiting.text for waiting in batch], self._settings.probability_floor)
        chosen_B = self._choose(probs_BK, torch.tensor([waiting.greedy for waiting in batch]))
        rows = zip(batch, chosen_B.tolist(), probs_BK.tolist(), strict=True)
        return [Labelled(index, tuple(probs), sampled=not waiting.greedy) for waiting, index, probs in rows]

    def _choose(self, probs_BK: Tensor, greedy_B: Tensor) -> Tensor:
        if bool(greedy_B.all()):
            return likeliest_labels(probs_BK)
        sampled_B = sample_labels(probs_BK, self._generator)
        return torch.where(greedy_B, likeliest_labels(probs_BK), sampled_B)

    def _fail(self, batch: Sequence[_Waiting], error: Unavailable) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)


def _too_long(classifier: Classifier, text: str) -> InvalidInput | None:
    """The complaint about a text that the model would only see the beginning of."""
    # A token is at least a byte, and a few control tokens are added: short texts need no counting.
    if len(text.encode()) + 8 <= classifier.max_tokens:
        return None
    count = classifier.token_count(text)
    if count <= classifier.max_tokens:
        return None
    return InvalidInput("text", f"has {count} tokens, at most {classifier.max_tokens} are allowed: shorten it")


def _resolve(batch: Sequence[_Waiting], answers: Sequence[Labelled | InvalidInput]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.answer.done():
            continue
        if isinstance(answer, InvalidInput):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
