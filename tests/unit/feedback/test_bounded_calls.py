"""Asking a part that hangs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from thumbwheel.errors import AlreadyExists, Unavailable
from thumbwheel.feedback.bounded_calls import BoundedCalls


def refuse() -> None:
    raise AlreadyExists("taken")


async def test_what_comes_in_time_is_handed_on() -> None:
    calls = BoundedCalls("the part", patience_s=60)
    assert await calls.ask(lambda: 7) == 7
    with pytest.raises(AlreadyExists):
        await calls.ask(refuse)


async def test_one_that_hangs_is_waited_for_once_and_keeps_no_thread_of_others() -> None:
    answers, asked = threading.Event(), list[int]()
    calls = BoundedCalls("the part", patience_s=0.05, rest_s=600)

    def hang() -> None:
        asked.append(1)
        answers.wait()

    try:
        with pytest.raises(Unavailable, match="the part does not answer in time") as first:
            await calls.ask(hang)
        refused = await asyncio.gather(*(calls.ask(hang) for _ in range(50)), return_exceptions=True)
        assert [type(one) for one in refused] == [Unavailable] * 50
        assert await asyncio.to_thread(lambda: "not held up")
    finally:
        answers.set()
    assert first.value.retry_after_s == 600
    assert len(asked) <= 1


async def test_it_is_asked_again_after_a_rest() -> None:
    answers = threading.Event()
    calls = BoundedCalls("the part", patience_s=0.05, rest_s=0.0)
    with pytest.raises(Unavailable):
        await calls.ask(answers.wait)
    answers.set()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await calls.ask(lambda: "well") == "well"
            except Unavailable:
                continue
            break
