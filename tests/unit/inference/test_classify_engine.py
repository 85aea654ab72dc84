"""The queue before a classifier: bounded, batched, left by whoever gives up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from thumbwheel.config.settings import Classify
from thumbwheel.errors import InvalidInput, Overloaded, Unavailable
from thumbwheel.inference.classify_engine import BatchedClassifyEngine
from thumbwheel.telemetry.metrics import Metrics

PROBABILITIES = [0.25, 0.75]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one_thread:
        yield one_thread


def classifier(batches: list[list[str]]) -> Any:
    """Scores every text alike and remembers what was computed together. A token a character."""

    def probabilities(texts: Sequence[str], floor: float) -> torch.Tensor:
        batches.append(list(texts))
        return torch.tensor([PROBABILITIES] * len(texts))

    return SimpleNamespace(labels=("a", "b"), max_tokens=16, token_count=len, probabilities=probabilities)


def engine(executor: ThreadPoolExecutor, batches: list[list[str]], **settings: Any) -> BatchedClassifyEngine:
    return BatchedClassifyEngine(
        classifier(batches), Classify.model_validate({"max_wait_ms": 0, **settings}), executor, Metrics().queue
    )


async def wait_for(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_a_cancelled_text_makes_room_at_once_and_is_not_computed(executor: ThreadPoolExecutor) -> None:
    batches: list[list[str]] = []
    made = engine(executor, batches, queue_limit=2)
    go_on = threading.Event()
    executor.submit(go_on.wait)
    computing = asyncio.create_task(made.classify("first", greedy=True))
    await wait_for(lambda: made.waiting == 1)
    await wait_for(lambda: made.waiting == 0)
    waiting = [asyncio.create_task(made.classify(text, greedy=True)) for text in ("second", "third")]
    await wait_for(lambda: made.waiting == 2)
    with pytest.raises(Overloaded, match=r"classify\.queue_limit") as refused:
        await made.classify("fourth", greedy=True)
    assert refused.value.retry_after_s > 0
    waiting[0].cancel()
    await wait_for(lambda: made.waiting == 1)
    waiting.append(asyncio.create_task(made.classify("fifth", greedy=True)))
    await wait_for(lambda: made.waiting == 2)
    go_on.set()
    answers = [await computing, await waiting[1], await waiting[2]]
    assert batches == [["first"], ["third", "fifth"]]
    assert {(one.label_index, one.probabilities, one.sampled) for one in answers} == {(1, (0.25, 0.75), False)}
    await made.close()


async def test_a_text_of_too_many_tokens_is_refused_and_its_neighbours_are_answered(
    executor: ThreadPoolExecutor,
) -> None:
    batches: list[list[str]] = []
    made = engine(executor, batches)
    texts = ["short", "x" * 17, "x" * 16]
    answers = await asyncio.gather(*(made.classify(text, greedy=True) for text in texts), return_exceptions=True)
    assert batches == [["short", "x" * 16]]
    assert isinstance(answers[1], InvalidInput)
    assert answers[1].problem == "has 17 tokens, at most 16 are allowed: shorten it"
    await made.close()


async def test_a_closed_engine_fails_what_waits_and_takes_no_more(executor: ThreadPoolExecutor) -> None:
    made = engine(executor, [])
    go_on = threading.Event()
    executor.submit(go_on.wait)
    calls = [asyncio.create_task(made.classify(text, greedy=False)) for text in ("first", "second")]
    await wait_for(lambda: made.waiting == 2)
    closing = asyncio.create_task(made.close())
    go_on.set()
    await closing
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in outcomes)
    with pytest.raises(Unavailable):
        await made.classify("third", greedy=False)
