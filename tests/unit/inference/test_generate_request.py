"""A streamed request rests between two pieces; the first piece and the end don't wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from transformers.generation.continuous_batching.requests import GenerationOutput, RequestStatus

from thumbwheel.inference.engine import Progress
from thumbwheel.inference.generated_request import GeneratedRequest
from thumbwheel.inference.sampling import Finish, Sampling

REST_S = 0.05


class LettersEngine:
    """What a request needs of its engine; token 0 is "a"."""

    @property
    def in_flight(self) -> int:
        return 1

    def decode(self, token_ids: Sequence[int]) -> str:
        return self.decode_piece(token_ids).strip()

    def decode_piece(self, token_ids: Sequence[int]) -> str:
        return "".join(chr(ord("a") + one) for one in token_ids)

    def finish_of(self, token_ids: Sequence[int]) -> Finish:
        return Finish.LENGTH

    def stop_early(self, request_id: str) -> None:
        raise AssertionError(f"{request_id} has no stop string")


class Clock:
    """The loop's time, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s)

    async def move(self, seconds: float) -> None:
        self.now_s += seconds
        await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def output(count: int, finished: bool = False) -> GenerationOutput:
    status = RequestStatus.FINISHED if finished else RequestStatus.DECODING
    return GenerationOutput("s", generated_tokens=list(range(count)), logprobs=[-1.0] * count, status=status)


def streamed(candidates: int) -> tuple[GeneratedRequest, asyncio.Task[None], list[Progress]]:
    request = GeneratedRequest(LettersEngine(), candidates, Sampling(), stream=True, rest_s=REST_S)
    request.ids = {index: f"s{index}" for index in range(candidates)}
    pieces: list[Progress] = []

    async def read(progress: AsyncIterator[Progress]) -> None:
        async for step in progress:
            pieces.append(step)

    return request, asyncio.create_task(read(request.progress())), pieces


async def test_tokens_that_come_during_a_rest_go_together_and_the_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    request, reading, pieces = streamed(1)
    take = request.sink(0)
    take(output(1))
    await settled()
    assert [one.delta for one in pieces] == ["a"]
    for count in (2, 3, 4):
        take(output(count))
        await settled()
    assert len(pieces) == 1
    await clock.move(REST_S * 1.01)
    assert [one.delta for one in pieces] == ["a", "bcd"]
    take(output(5))
    assert request.tokens == 5  # the last one is drawn, and waits for the rest to end
    take(output(6, finished=True))
    await reading
    assert [one.delta for one in pieces] == ["a", "bcd", "ef"]
    assert pieces[-1].finished is not None
    assert pieces[-1].finished.token_ids == (0, 1, 2, 3, 4, 5)
    assert request.tokens == 6
    request.stop_rest()


async def test_a_token_after_a_rest_without_news_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    request, reading, pieces = streamed(2)
    request.sink(0)(output(1))
    await settled()
    await clock.move(REST_S * 1.01)
    request.sink(1)(output(2))
    await settled()
    assert [(one.candidate, one.delta) for one in pieces] == [(0, "a"), (1, "ab")]
    request.sink(0)(output(2, finished=True))
    request.sink(1)(output(2, finished=True))
    await reading
    assert [(one.candidate, one.delta) for one in pieces[2:]] == [(0, "b"), (1, "")]
    request.stop_rest()


async def test_tokens_after_a_stop_string_are_not_counted() -> None:
    class Stopped(LettersEngine):
        def stop_early(self, request_id: str) -> None:
            assert request_id == "s0"

    request = GeneratedRequest(Stopped(), 2, Sampling(stop=("c",)), stream=True, rest_s=0)
    request.ids = {index: f"s{index}" for index in range(2)}
    request.sink(0)(output(5))
    request.sink(1)(output(2, finished=True))
    assert [one.finished is not None async for one in request] == [True, True]
    assert request.tokens == 3 + 2
