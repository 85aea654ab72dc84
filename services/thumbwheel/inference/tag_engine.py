"""The `tag` engine: a tag for each word. Texts that arrive together are computed together, as for `classify`.

Shape suffixes: W words of one text, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

from torch import Tensor

from thumbwheel.config.settings import Tag
from thumbwheel.errors import InvalidInput
from thumbwheel.inference.encoder_engine import EncoderEngine, Question
from thumbwheel.inference.engine import Tagged
from thumbwheel.policy.classify import likeliest_labels, sample_labels
from thumbwheel.policy.tag import Tagger
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.metrics import QueueMetrics

# Words times tags of one answer, whose probabilities are logged: 0.8 MB, below what the log takes of one event.
MOST_PROBABILITIES: Final = 200_000


class BatchedTagEngine(EncoderEngine[Tagger, tuple[str, ...], Tagged]):
    """Serves one version of a tagger. Implements `TagEngine`."""

    kind = PolicyKind.TAG

    def __init__(self, model: Tagger, settings: Tag, executor: Executor, metrics: QueueMetrics) -> None:
        """As for every encoder; a text may have `settings.max_words` words, fewer where there are very many tags."""
        super().__init__(model, settings, executor, metrics)
        self._most_words = min(settings.max_words, MOST_PROBABILITIES // len(model.labels))

    async def warm(self) -> None:
        """Tag something, so that the first user doesn't wait for lazy initialisation."""
        await self.tag(("warm",), greedy=True)

    async def tag(self, words: Sequence[str], greedy: bool) -> Tagged:
        """Serve a tag for each word. Cancelling the call takes the text out of the queue."""
        if len(words) > self._most_words:
            raise InvalidInput("text", f"has {len(words)} words, at most {self._most_words} are allowed: shorten it")
        return await self._ask(tuple(words), greedy)

    def _problem(self, model: Tagger, content: tuple[str, ...]) -> InvalidInput | None:
        """The complaint about a text of which the model would not see every word."""
        [encoded] = model.encode([content])
        if (lost := encoded.lost) is None and len(encoded.ids) < model.max_tokens:
            return None
        count = model.token_count(content)
        if count > model.max_tokens:
            return InvalidInput("text", f"has {count} tokens, at most {model.max_tokens} are allowed: shorten it")
        if lost is None:
            return None
        return InvalidInput(
            "text", f"the policy's tokenizer makes nothing of word {lost}, {content[lost]!r}: leave it out"
        )

    def _answers(self, model: Tagger, batch: Sequence[Question[tuple[str, ...]]]) -> list[Tagged]:
        texts = model.probabilities([question.content for question in batch], self._settings.probability_floor)
        return [self._choose(probs_WK, question.greedy) for probs_WK, question in zip(texts, batch, strict=True)]

    def _choose(self, probs_WK: Tensor, greedy: bool) -> Tagged:
        """Each word's tag is drawn by itself, whatever those beside it are."""
        chosen_W = likeliest_labels(probs_WK) if greedy else sample_labels(probs_WK, self._generator)
        return Tagged(tuple(chosen_W.tolist()), tuple(probs_WK.flatten().tolist()), sampled=not greedy)
