"""The `classify` engine: texts that arrive together are computed together, on one thread, behind a bounded queue."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thumbwheel.errors import InvalidInput
from thumbwheel.inference.encoder_engine import EncoderEngine, Question
from thumbwheel.inference.engine import Labelled
from thumbwheel.policy.classify import Classifier, likeliest_labels, sample_labels
from thumbwheel.records import PolicyKind


class BatchedClassifyEngine(EncoderEngine[Classifier, str, Labelled]):
    """Serves one version of a classifier. Implements `ClassifyEngine`."""

    kind = PolicyKind.CLASSIFY

    async def warm(self) -> None:
        """Classify something, so that the first user doesn't wait for lazy initialisation."""
        await self.classify("warm", greedy=True)

    async def classify(self, text: str, greedy: bool) -> Labelled:
        """Serve one label. Cancelling the call takes the text out of the queue."""
        return await self._ask(text, greedy)

    def _problem(self, model: Classifier, content: str) -> InvalidInput | None:
        """The complaint about a text that the model would only see the beginning of."""
        # A token is at least a byte, and a few control tokens are added: short texts need no counting.
        if len(content.encode()) + 8 <= model.max_tokens:
            return None
        count = model.token_count(content)
        if count <= model.max_tokens:
            return None
        return InvalidInput("text", f"has {count} tokens, at most {model.max_tokens} are allowed: shorten it")

    def _answers(self, model: Classifier, batch: Sequence[Question[str]]) -> list[Labelled]:
        probs_BK = model.probabilities([question.content for question in batch], self._settings.probability_floor)
        chosen_B = self._choose(probs_BK, torch.tensor([question.greedy for question in batch]))
        rows = zip(batch, chosen_B.tolist(), probs_BK.tolist(), strict=True)
        return [Labelled(index, tuple(probs), sampled=not question.greedy) for question, index, probs in rows]

    def _choose(self, probs_BK: Tensor, greedy_B: Tensor) -> Tensor:
        if bool(greedy_B.all()):
            return likeliest_labels(probs_BK)
        sampled_B = sample_labels(probs_BK, self._generator)
        return torch.where(greedy_B, likeliest_labels(probs_BK), sampled_B)
