"""What the engines of classifiers and taggers share: one encoder, texts computed together on one thread."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import torch

from thumbwheel.errors import InvalidInput
from thumbwheel.inference.batches import Batches, BatchSettings
from thumbwheel.inference.engine import EngineLimits
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.metrics import QueueMetrics

Answer = TypeVar("Answer")
Content = TypeVar("Content")


class Encoder(Protocol):
    """A loaded classifier or tagger."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its logits, in their order."""

    @property
    def max_tokens(self) -> int:
        """Longest text it reads, in tokens."""


Model = TypeVar("Model", bound=Encoder)


class EncoderSettings(BatchSettings, Protocol):
    """How an encoder is served. The sections `classify` and `tag` of the configuration have it."""

    @property
    def probability_floor(self) -> float:
        """Least probability of a label in `sample` mode."""

    @property
    def mode(self) -> Literal["sample", "argmax"]:
        """Whether labels are drawn, or the likeliest is served."""


@dataclass(frozen=True, slots=True)
class Question(Generic[Content]):
    """One text that waits, as its engine reads it, and whether the likeliest labels are wanted, not drawn ones."""

    content: Content
    greedy: bool


class EncoderEngine(ABC, Generic[Model, Content, Answer]):
    """Serves one version of an encoder. A subclass says what is wrong with a text, and what the answers are."""

    kind: ClassVar[PolicyKind]

    def __init__(self, model: Model, settings: EncoderSettings, executor: Executor, metrics: QueueMetrics) -> None:
        """Compute with `model` on `executor`, which has one thread that all classifiers and taggers share."""
        self._model: Model | None = model
        self._settings = settings
        self._batches = Batches(self.kind.value, self._compute, settings, executor, metrics)
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        self.limits = EngineLimits(
            max_input_tokens=model.max_tokens,
            labels=model.labels,
            probability_floor=settings.probability_floor,
        )

    @property
    def healthy(self) -> bool:
        """Whether it can still compute."""
        return self._batches.healthy

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return self._batches.waiting

    async def close(self) -> None:
        """Stop computing and free the model. Texts still waiting fail."""
        self._model = None
        await self._batches.close()

    async def _ask(self, content: Content, greedy: bool) -> Answer:
        """The answer to one text. Cancelling the call takes it out of the queue."""
        return await self._batches.ask(Question(content, greedy or self._settings.mode == "argmax"))

    def _compute(self, batch: Sequence[Question[Content]]) -> list[Answer | InvalidInput]:
        """On the executor's thread, the only one to use model and tokenizer (whose padding settings are state)."""
        model = self._model
        if model is None:
            raise RuntimeError("closed")
        problems = [self._problem(model, question.content) for question in batch]
        fitting = [question for question, problem in zip(batch, problems, strict=True) if problem is None]
        answers = iter(self._answers(model, fitting) if fitting else [])
        return [next(answers) if problem is None else problem for problem in problems]

    @abstractmethod
    def _problem(self, model: Model, content: Content) -> InvalidInput | None:
        """The complaint about a text that the model can not read whole."""

    @abstractmethod
    def _answers(self, model: Model, batch: Sequence[Question[Content]]) -> list[Answer]:
        """An answer to each of at least one question, in their order."""
