"""The `classify` engine: texts that arrive together are computed together, on one thread, behind a bounded queue."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import torch
from torch import Tensor

from thumbwheel.config.settings import Classify
from thumbwheel.errors import InvalidInput
from thumbwheel.inference.batches import Batches
from thumbwheel.inference.engine import EngineLimits, Labelled
from thumbwheel.policy.classify import Classifier, likeliest_labels, sample_labels
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.metrics import QueueMetrics


@dataclass(frozen=True, slots=True)
class _Question:
    text: str
    greedy: bool


class BatchedClassifyEngine:
    """Serves one version of a classifier. Implements `ClassifyEngine`."""

    kind = PolicyKind.CLASSIFY

    def __init__(self, classifier: Classifier, settings: Classify, executor: Executor, metrics: QueueMetrics) -> None:
        """Compute with `classifier` on `executor`, which has one thread that all classifiers share."""
        self._classifier: Classifier | None = classifier
        self._settings = settings
        self._batches = Batches("classify", self._compute, settings, executor, metrics)
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        self.limits = EngineLimits(
            max_input_tokens=classifier.max_tokens,
            labels=classifier.labels,
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

    async def warm(self) -> None:
        """Classify something, so that the first user doesn't wait for lazy initialisation."""
        await self.classify("warm", greedy=True)

    async def classify(self, text: str, greedy: bool) -> Labelled:
        """Serve one label. Cancelling the call takes the text out of the queue."""
        return await self._batches.ask(_Question(text, greedy or self._settings.mode == "argmax"))

    async def close(self) -> None:
        """Stop computing and free the model. Texts still waiting fail."""
        self._classifier = None
        await self._batches.close()

    def _compute(self, batch: Sequence[_Question]) -> list[Labelled | InvalidInput]:
        """On the executor's thread, the only one to use model and tokenizer (whose padding settings are state)."""
        classifier = self._classifier
        if classifier is None:
            raise RuntimeError("closed")
        too_long = [_too_long(classifier, question.text) for question in batch]
        fitting = [question for question, problem in zip(batch, too_long, strict=True) if problem is None]
        labelled = iter(self._label(classifier, fitting) if fitting else [])
        return [next(labelled) if problem is None else problem for problem in too_long]

    def _label(self, classifier: Classifier, batch: Sequence[_Question]) -> list[Labelled]:
        probs_BK = classifier.probabilities([question.text for question in batch], self._settings.probability_floor)
        chosen_B = self._choose(probs_BK, torch.tensor([question.greedy for question in batch]))
        rows = zip(batch, chosen_B.tolist(), probs_BK.tolist(), strict=True)
        return [Labelled(index, tuple(probs), sampled=not question.greedy) for question, index, probs in rows]

    def _choose(self, probs_BK: Tensor, greedy_B: Tensor) -> Tensor:
        if bool(greedy_B.all()):
            return likeliest_labels(probs_BK)
        sampled_B = sample_labels(probs_BK, self._generator)
        return torch.where(greedy_B, likeliest_labels(probs_BK), sampled_B)


def _too_long(classifier: Classifier, text: str) -> InvalidInput | None:
    """The complaint about a text that the model would only see the beginning of."""
    # A token is at least a byte, and a few control tokens are added: short texts need no counting.
    if len(text.encode()) + 8 <= classifier.max_tokens:
        return None
    count = classifier.token_count(text)
    if count <= classifier.max_tokens:
        return None
    return InvalidInput("text", f"has {count} tokens, at most {classifier.max_tokens} are allowed: shorten it")
