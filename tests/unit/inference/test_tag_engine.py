"""The engine of taggers: each word's tag by its own lot, and one text's trouble is not its neighbours'."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from thumbwheel.config.settings import Tag
from thumbwheel.errors import InvalidInput, Unavailable
from thumbwheel.inference.tag_engine import BatchedTagEngine
from thumbwheel.policy.tag import EncodedWords
from thumbwheel.telemetry.metrics import Metrics

ROW = [0.2, 0.5, 0.3]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one_thread:
        yield one_thread


def engine(executor: ThreadPoolExecutor, batches: list[list[Sequence[str]]], **settings: Any) -> BatchedTagEngine:
    """Scores every word alike and remembers what was computed together. A token a letter, none for `?`; 8 at most."""

    def encode(texts: Sequence[Sequence[str]], truncated: bool = True) -> list[EncodedWords]:
        return [
            EncodedWords(
                tuple(range(min(8, sum(map(len, words))))), tuple(-1 if w == "?" else n for n, w in enumerate(words))
            )
            for words in texts
        ]

    def probabilities(texts: Sequence[Sequence[str]], floor: float) -> list[torch.Tensor]:
        batches.append(list(texts))
        return [torch.tensor([ROW] * len(words)) for words in texts]

    tagger: Any = SimpleNamespace(
        labels=("O", "B-x", "I-x"),
        max_tokens=8,
        encode=encode,
        probabilities=probabilities,
        token_count=lambda words: sum(map(len, words)),
    )
    return BatchedTagEngine(tagger, Tag.model_validate({"max_wait_ms": 0, **settings}), executor, Metrics().queue)


async def test_words_are_drawn_by_themselves_and_logged_with_every_probability(executor: ThreadPoolExecutor) -> None:
    made = engine(executor, [])
    answers = await asyncio.gather(*(made.tag(("a", "b"), greedy=False) for _ in range(400)))
    assert {(one.sampled, one.probabilities) for one in answers} == {
        (True, tuple(torch.tensor([ROW, ROW]).flatten().tolist()))
    }
    pairs = Counter(one.tag_indices for one in answers)
    for first in range(3):
        for second in range(3):
            expected = 400 * ROW[first] * ROW[second]
            assert abs(pairs[first, second] - expected) < 5 * expected**0.5
    await made.close()


async def test_the_likeliest_tags_teach_nothing(executor: ThreadPoolExecutor) -> None:
    for made, greedy in ((engine(executor, []), True), (engine(executor, [], mode="argmax"), False)):
        answer = await made.tag(("a", "b"), greedy)
        assert (answer.tag_indices, answer.sampled) == ((1, 1), False)
        await made.close()


async def test_a_text_in_trouble_is_refused_and_its_neighbours_are_answered(executor: ThreadPoolExecutor) -> None:
    batches: list[list[Sequence[str]]] = []
    made = engine(executor, batches, max_words=6)
    asked = [("ok",), ("too", "long", "text"), ("a", "?"), ("x",) * 7, ("fine",)]
    answers = await asyncio.gather(*(made.tag(words, greedy=True) for words in asked), return_exceptions=True)
    assert batches == [[("ok",), ("fine",)]]
    assert [one.problem for one in answers if isinstance(one, InvalidInput)] == [
        "has 11 tokens, at most 8 are allowed: shorten it",
        "the policy's tokenizer makes nothing of word 1, '?': leave it out",
        "has 7 words, at most 6 are allowed: shorten it",
    ]
    await made.close()


async def test_a_closed_engine_takes_no_more(executor: ThreadPoolExecutor) -> None:
    made = engine(executor, [])
    await made.close()
    with pytest.raises(Unavailable):
        await made.tag(("a",), greedy=False)
