"""The `tag` engine: a tag for each word. Texts that arrive together are computed together, as for `classify`.

Shape suffixes: W words of one text, P words of all texts one after the other, K tags.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from thumbwheel.config.settings import Tag
from thumbwheel.errors import InvalidInput
from thumbwheel.inference.batches import Batches
from thumbwheel.inference.engine import EngineLimits, Tagged
from thumbwheel.policy.classify import likeliest_labels, sample_labels
from thumbwheel.policy.tag import Tagger
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.metrics import QueueMetrics

# Words times tags of one answer, whose probabilities are logged: 0.8 MB, below what the log takes of one event.
MOST_PROBABILITIES: Final = 200_000


@dataclass(frozen=True, slots=True)
class _Question:
    words: tuple[str, ...]
    greedy: bool


class BatchedTagEngine:
    """Serves one version of a tagger. Implements `TagEngine`."""

    kind = PolicyKind.TAG

    def __init__(self, tagger: Tagger, settings: Tag, executor: Executor, metrics: QueueMetrics) -> None:
        """Compute with `tagger` on `executor`, which has one thread that all taggers and classifiers share."""
        self._tagger: Tagger | None = tagger
        self._settings = settings
        self._batches = Batches("tag", self._compute, settings, executor, metrics)
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        self._most_words = min(settings.max_words, MOST_PROBABILITIES // len(tagger.labels))
        self.limits = EngineLimits(
            max_input_tokens=tagger.max_tokens,
            labels=tagger.labels,
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
        """Tag something, so that the first user doesn't wait for lazy initialisation."""
        await self.tag(("warm",), greedy=True)

    async def tag(self, words: Sequence[str], greedy: bool) -> Tagged:
        """Serve a tag for each word. Cancelling the call takes the text out of the queue."""
        if len(words) > self._most_words:
            raise InvalidInput("text", f"has {len(words)} words, at most {self._most_words} are allowed: shorten it")
        return await self._batches.ask(_Question(tuple(words), greedy or self._settings.mode == "argmax"))

    async def close(self) -> None:
        """Stop computing and free the model. Texts still waiting fail."""
        self._tagger = None
        await self._batches.close()

    def _compute(self, batch: Sequence[_Question]) -> list[Tagged | InvalidInput]:
        """On the executor's thread, the only one to use model and tokenizer."""
        tagger = self._tagger
        if tagger is None:
            raise RuntimeError("closed")
        problems = [_unreadable(tagger, question.words) for question in batch]
        fitting = [question for question, problem in zip(batch, problems, strict=True) if problem is None]
        tagged = iter(self._tag(tagger, fitting) if fitting else [])
        return [next(tagged) if problem is None else problem for problem in problems]

    def _tag(self, tagger: Tagger, batch: Sequence[_Question]) -> list[Tagged]:
        texts = tagger.probabilities([question.words for question in batch], self._settings.probability_floor)
        return [self._choose(probs_WK, question.greedy) for probs_WK, question in zip(texts, batch, strict=True)]

    def _choose(self, probs_WK: Tensor, greedy: bool) -> Tagged:
        """Each word's tag is drawn by itself, whatever those beside it are."""
        chosen_W = likeliest_labels(probs_WK) if greedy else sample_labels(probs_WK, self._generator)
        return Tagged(tuple(chosen_W.tolist()), tuple(probs_WK.flatten().tolist()), sampled=not greedy)


def _unreadable(tagger: Tagger, words: tuple[str, ...]) -> InvalidInput | None:
    """The complaint about a text of which the model would not see every word."""
    [encoded] = tagger.encode([words])
    if (lost := encoded.lost) is None and len(encoded.ids) < tagger.max_tokens:
        return None
    count = tagger.token_count(words)
    if count > tagger.max_tokens:
        return InvalidInput("text", f"has {count} tokens, at most {tagger.max_tokens} are allowed: shorten it")
    if lost is None:
        return None
    return InvalidInput("text", f"the policy's tokenizer makes nothing of word {lost}, {words[lost]!r}: leave it out")
