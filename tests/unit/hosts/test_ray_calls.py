"""Calls as Ray hands them over: the same statuses, details and metadata as on one host; streams that stop."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import Int32Value
from google.rpc import error_details_pb2, status_pb2
from structlog.contextvars import bind_contextvars

from thumbwheel.errors import Overloaded, UnknownPolicy
from thumbwheel.hosts.calls import Call, Malformed
from thumbwheel.hosts.ray import calls
from thumbwheel.telemetry.metrics import Metrics


class Given:
    """The record of a context that Ray gives: what is set on it reaches the caller if the method returns."""

    def __init__(self, *sent: tuple[str, str]) -> None:
        self.sent = sent
        self.code: Any = None
        self.details = ""
        self.trailing: dict[str, Any] = {}

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self.sent

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, metadata: list[tuple[str, Any]]) -> None:
        self.trailing = dict(metadata)


def led(behavior: Any, metrics: Metrics) -> Any:
    return Call("Classify", behavior, metrics.rpc).run


async def test_an_answer_comes_with_the_callers_correlation_id_and_is_counted() -> None:
    async def behavior(request: Any, context: Any) -> Int32Value:
        bind_contextvars(policy="desk", policy_version="v3")
        return Int32Value(value=request + 1)

    given, metrics = Given(("x-correlation-id", "mine")), Metrics()
    assert await calls.answer(led(behavior, metrics), 1, given) == Int32Value(value=2)
    assert (given.code, given.trailing) == (None, {"x-correlation-id": "mine"})
    labels = {"method": "Classify", "policy": "desk", "policy_version": "v3", "code": "OK"}
    assert metrics.registry.get_sample_value("thumbwheel_rpcs_total", labels) == 1


async def test_an_error_becomes_status_details_and_retry_hint() -> None:
    async def behavior(request: Any, context: Any) -> Int32Value:
        raise Overloaded("classify.queue_limit: full", 0.25)

    given = Given()
    await calls.answer(led(behavior, Metrics()), 1, given)
    assert (given.code, given.details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "classify.queue_limit: full")
    assert given.trailing["grpc-retry-pushback-ms"] == "250"
    status, retry = status_pb2.Status.FromString(given.trailing["grpc-status-details-bin"]), None
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 250


async def test_a_defect_is_told_by_its_correlation_id_only() -> None:
    async def behavior(request: Any, context: Any) -> Int32Value:
        raise ZeroDivisionError("inner text")

    given = Given(("x-correlation-id", "mine"))
    await calls.answer(led(behavior, Metrics()), 1, given)
    assert given.code is grpc.StatusCode.INTERNAL
    assert "mine" in given.details
    assert "inner text" not in given.details


async def test_bytes_that_are_no_message_are_the_callers_mistake() -> None:
    given = Given()
    await calls.answer(led(None, Metrics()), Malformed(), given)
    assert given.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_yields_what_is_written_one_at_a_time() -> None:
    written: list[int] = []

    async def behavior(request: Any, context: Any) -> None:
        for value in range(3):
            await context.write(Int32Value(value=value))
            written.append(value)

    seen = []
    async for message in calls.stream(led(behavior, Metrics()), None, Given()):
        seen.append(message.value)  # type: ignore[attr-defined]
        assert len(written) <= len(seen)
    assert seen == written == [0, 1, 2]


async def test_a_stream_that_is_refused_midway_ends_with_the_status() -> None:
    async def behavior(request: Any, context: Any) -> None:
        await context.write(Int32Value(value=1))
        raise UnknownPolicy("policy: gone")

    given = Given()
    seen = [message async for message in calls.stream(led(behavior, Metrics()), None, given)]
    assert (len(seen), given.code) == (1, grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_stream_whose_caller_left_stops_its_work_before_it_is_let_go(how: str) -> None:
    ended: list[str] = []

    async def behavior(request: Any, context: Any) -> None:
        try:
            await context.write(Int32Value(value=1))
            await asyncio.Event().wait()
        finally:
            ended.append("stopped")

    metrics = Metrics()
    messages: Any = calls.stream(led(behavior, metrics), None, Given())
    await anext(messages)
    if how == "closed":
        await messages.aclose()
    else:
        waiting = asyncio.create_task(anext(messages))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert ended == ["stopped"]
    assert metrics.registry.get_sample_value("thumbwheel_rpcs_in_flight", {"method": "Classify"}) == 0
    labels = {"method": "Classify", "policy": "", "policy_version": "", "code": "CANCELLED"}
    assert metrics.registry.get_sample_value("thumbwheel_rpcs_total", labels) == 1
