"""Overload, deadlines, cancelled calls, a log that is away, and draining, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from thumbwheel.bus.port import NewRecord
from thumbwheel.errors import InvalidInput, LogUnavailable, ThumbwheelError
from thumbwheel.inference.servicer import SERVICE
from thumbwheel.inference.token_sampler import PlanProcessor
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.policy.classify import Classifier
from thumbwheel.records import PolicyKind

LONG = {"generate": {"max_new_tokens": 2000}}


def long_request(n: int = 1) -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt="x", n=n, sampling=pb.Sampling(max_new_tokens=2000))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def chat(home: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1, positions=4096, endless=True)


def engine_of(service: Any, policy: str = "chat") -> Any:
    return service.inference.policies.served(policy)[0].engine


@pytest.mark.usefixtures("chat")
async def test_a_full_queue_refuses_with_a_retry_hint(serve: Any) -> None:
    async with serve(generate={"max_new_tokens": 2000, "queue_limit": 4}) as service:
        engine = engine_of(service)
        running = service.stub.StreamGenerate(long_request(n=3))
        await running.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.stub.Generate(long_request(n=2))
        assert engine.in_flight == 3
        running.cancel()
        await until(lambda: engine.computing == 0)
        await service.stub.Generate(pb.GenerateRequest(prompt="x", n=4, sampling=pb.Sampling(max_new_tokens=2)))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "generate.queue_limit" in (refused.value.details() or "")
    trailing = dict(refused.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == int(trailing["grpc-retry-pushback-ms"]) > 0
    assert service.metric("thumbwheel_queue_refused_total", queue="generate") == 1


async def test_a_full_classify_queue_refuses_and_loses_nothing(home: Any, serve: Any) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    limits = {"queue_limit": 2, "max_batch": 1, "max_wait_ms": 100}
    async with serve(classify=limits) as service:
        calls = [service.stub.Classify(pb.ClassifyRequest(text=f"text {i}")) for i in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in results if isinstance(one, grpc.aio.AioRpcError)]
        answered = [one for one in results if isinstance(one, pb.ClassifyResponse)]
    assert refused
    assert answered
    assert {one.code() for one in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(home.logged()) == len(answered)


@pytest.mark.usefixtures("chat")
@pytest.mark.parametrize("method", ["Generate", "StreamGenerate"])
async def test_a_cancelled_call_stops_computing(home: Any, serve: Any, method: str) -> None:
    async with serve(**LONG) as service:
        engine = engine_of(service)
        call = getattr(service.stub, method)(long_request(n=4))
        await until(lambda: engine.computing == 4)
        call.cancel()
        await until(lambda: engine.computing == 0)
        assert engine.in_flight == 0
        await until(lambda: service.metric("thumbwheel_rpcs_in_flight", method=method) == 0)
        assert (
            service.metric("thumbwheel_rpcs_total", method=method, policy="chat", policy_version="v1", code="CANCELLED")
            == 1
        )
    assert home.logged() == []


@pytest.mark.usefixtures("chat")
@pytest.mark.parametrize("method", ["Generate", "StreamGenerate"])
async def test_a_missed_deadline_stops_computing(home: Any, serve: Any, method: str) -> None:
    async with serve(**LONG) as service:
        engine = engine_of(service)
        call = getattr(service.stub, method)(long_request(n=4), timeout=0.3)
        with pytest.raises(grpc.aio.AioRpcError) as missed:
            await (call if method == "Generate" else _read_all(call))
        await until(lambda: engine.computing == 0)
        assert engine.in_flight == 0
    assert missed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert home.logged() == []


async def _read_all(call: Any) -> list[Any]:
    messages = []
    while (message := await call.read()) is not grpc.aio.EOF:
        messages.append(message)
    return messages


async def test_a_cancelled_classify_leaves_the_queue(home: Any, serve: Any) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    async with serve(classify={"max_wait_ms": 100}) as service:
        engine = engine_of(service, "intent")
        call = service.stub.Classify(pb.ClassifyRequest(text="x"))
        await until(lambda: engine.waiting == 1)
        call.cancel()
        await until(lambda: engine.waiting == 0)
        await service.stub.Classify(pb.ClassifyRequest(text="y"))
    assert [one.answer.text for one in home.logged()] == ["y"]


class RefusingLog:
    def __init__(self, error: ThumbwheelError) -> None:
        self._error = error

    async def append(self, records: Sequence[NewRecord]) -> None:
        raise self._error


@pytest.mark.usefixtures("chat")
@pytest.mark.parametrize(
    "error",
    [LogUnavailable("the disk is full: free space", retry_after_s=1.0), InvalidInput("payload", "is too large")],
)
async def test_without_the_log_answers_are_served_marked_and_counted(
    home: Any, serve: Any, error: ThumbwheelError
) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    async with serve(appender=RefusingLog(error)) as service:
        label = await service.stub.Classify(pb.ClassifyRequest(text="x"))
        texts = await service.stub.Generate(pb.GenerateRequest(prompt="x", n=2))
        stream = [message async for message in service.stub.StreamGenerate(pb.GenerateRequest(prompt="x"))]
        stamps = [label.stamp, *(candidate.stamp for candidate in texts.candidates), stream[-1].stamp]
        assert all(stamp.response_id and stamp.policy_version == "v1" for stamp in stamps)
        assert not any(stamp.logged or stamp.feedback_token for stamp in stamps)
        assert service.metric("thumbwheel_unlogged_responses_total", policy="chat") == 3
        assert service.metric("thumbwheel_unlogged_responses_total", policy="intent") == 1
        assert service.request_log.refused is isinstance(error, LogUnavailable)


@pytest.mark.usefixtures("chat")
async def test_draining_lets_calls_in_flight_finish_and_takes_no_more(serve: Any) -> None:
    async with serve(generate={"max_new_tokens": 200}, serve={"drain_s": 60.0}) as service:
        watch = health_pb2_grpc.HealthStub(service.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        requests = [pb.GenerateRequest(prompt="x", sampling=pb.Sampling(max_new_tokens=200))] * 12
        calls = [service.stub.StreamGenerate(request) for request in requests]
        firsts = [await call.read() for call in calls]
        draining = asyncio.create_task(service.host.drain())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{service.host.ports['public']}") as late:
                await InferenceServiceStub(late).DescribePolicy(pb.DescribePolicyRequest())
        ends = [(await _read_all(call))[-1] for call in calls]
        await draining
    # gRPC's core answers CANCELLED to a call it took off the wire just before; the client library reads that as away.
    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert [end.stamp.response_id for end in ends] == [first.stamp.response_id for first in firsts]
    assert all(end.stamp.logged for end in ends)


@pytest.mark.usefixtures("chat")
async def test_calls_still_running_after_the_drain_are_cut_off_and_freed(serve: Any) -> None:
    async with serve(**LONG, serve={"drain_s": 0.1}) as service:
        engine = engine_of(service)
        call = service.stub.StreamGenerate(long_request())
        await call.read()
        await service.host.drain()
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await _read_all(call)
        await until(lambda: engine.computing == 0)
    assert cut.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@pytest.mark.usefixtures("chat")
async def test_an_engine_whose_thread_died_is_replaced(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret inner text")

    async with serve(serve={"reconcile_s": 60}, **LONG) as service:
        engine = engine_of(service)
        call = service.stub.Generate(long_request())
        await until(lambda: engine.computing == 1)
        with monkeypatch.context() as broken:
            # It runs in the batching thread, at every token.
            broken.setattr(PlanProcessor, "__call__", fail)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "secret" not in (failed.value.details() or "")
        await until(lambda: not engine.healthy)
        await service.inference.reconciler.reconcile()
        assert engine_of(service) is not engine
        await service.stub.Generate(pb.GenerateRequest(prompt="x"))


async def test_a_batch_that_fails_does_not_end_the_engine(
    home: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    async with serve() as service:
        engine = engine_of(service, "intent")
        with monkeypatch.context() as broken:
            broken.setattr(Classifier, "probabilities", lambda *_: [][1])
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await service.stub.Classify(pb.ClassifyRequest(text="x"))
        await service.stub.Classify(pb.ClassifyRequest(text="y"))
        assert engine.healthy
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
