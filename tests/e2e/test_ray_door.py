"""The public door as clients meet it: the same expectations, whether one process serves or replicas on Ray."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from kafka_server import KafkaBroker
from scaled_service import make_home, new_topics, serving, settings_of
from service_ledger import wait_until_serving

from thumbwheel.feedback.keys import load_keys
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceStub
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.simulate.service import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INFERENCE = "thumbwheel.inference.v1.InferenceService"
SERVING = health_pb2.HealthCheckResponse.SERVING
QUEUE = 2
ANN = pb.User(id="ann")


@pytest.fixture(scope="module", params=["here", "ray"])
def service(
    request: pytest.FixtureRequest, kafka_session: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    if request.param == "ray":
        request.getfixturevalue("ray_serve")
    home: Path = tmp_path_factory.mktemp(request.param) / "home"
    make_home(home)
    kafka_session.start()
    limits = {"generate__max_new_tokens": 2000, "generate__queue_limit": QUEUE}
    with serving(home, settings_of(new_topics(kafka_session), **limits), request.param) as running:
        asyncio.run(wait_until_serving(running.addresses["grpc"]))
        yield running


@pytest.fixture
def channel(service: ServiceProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(service.addresses["grpc"]) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return InferenceServiceStub(channel)


def refusal_of(call: Any, *arguments: Any, **named: Any) -> Any:
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, timeout=20, **named)
    return refused.value


def detail(error: Any, kind: Any) -> Any:
    """The detail of that kind which came with a status."""
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    found = kind()
    assert any(one.Unpack(found) for one in status.details)
    return found


def test_an_answer_is_stamped_logged_and_signed_for_who_asked(service: ServiceProcess, stub: Any) -> None:
    request = pb.ClassifyRequest(text="where is it", user=ANN)
    answer, call = stub.Classify.with_call(request, timeout=20, metadata=(("x-correlation-id", "mine"),))
    stamp = answer.stamp
    assert (stamp.policy, stamp.policy_version, stamp.channel, stamp.logged) == ("topics", "v1", "champion", True)
    assert uuid.UUID(stamp.response_id).version == 7
    keys = load_keys(service.home / "keys.json")
    claims = TokenSigner(keys, 3600).verify(
        stamp.feedback_token, stamp.response_id, Raters(keys.user_key).rater("ann", stamp.response_id), 1
    )
    assert claims.policy_version == "v1"
    assert sum(one.probability for one in answer.probabilities) == pytest.approx(1.0, abs=1e-5)
    assert dict(call.trailing_metadata())["x-correlation-id"] == "mine"


def test_candidates_have_ids_of_their_own(stub: Any) -> None:
    request = pb.GenerateRequest(policy="chat", prompt="x", n=2, sampling=pb.Sampling(max_new_tokens=4))
    answer = stub.Generate(request, timeout=20)
    assert len({one.stamp.response_id for one in answer.candidates}) == 2
    assert all(one.stamp.feedback_token for one in answer.candidates)


def test_a_stream_is_stamped_first_and_last(stub: Any) -> None:
    request = pb.GenerateRequest(policy="chat", prompt="x", sampling=pb.Sampling(max_new_tokens=40))
    messages = list(stub.StreamGenerate(request, timeout=20))
    stamped = [message.stamp for message in messages if message.HasField("stamp")]
    assert messages[0].HasField("stamp")
    assert messages[-1].stamp.feedback_token
    assert messages[-1].completion_tokens > 0
    assert len({stamp.response_id for stamp in stamped}) == 1


def test_a_wrong_field_is_named_with_its_limit(stub: Any) -> None:
    error = refusal_of(stub.Generate, pb.GenerateRequest(policy="chat", prompt="x", n=1000))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    [violation] = detail(error, error_details_pb2.BadRequest).field_violations
    assert violation.field == "n"
    assert detail(error, error_details_pb2.ErrorInfo).reason == "INVALID_INPUT"


def test_a_stream_that_is_refused_says_why(stub: Any) -> None:
    error = refusal_of(lambda *a, **k: list(stub.StreamGenerate(*a, **k)), pb.GenerateRequest(policy="no", prompt="x"))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "chat" in error.details()
    assert uuid.UUID(dict(error.trailing_metadata())["x-correlation-id"]).version == 7


@pytest.mark.parametrize("method", [f"/{INFERENCE}/Classify", "/thumbwheel.feedback.v1.FeedbackService/SubmitFeedback"])
def test_bytes_that_are_no_message_are_the_callers_mistake(channel: grpc.Channel, method: str) -> None:
    raw = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    assert refusal_of(raw, b"\xff\xff\xff").code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_above_the_limit_is_refused(stub: Any) -> None:
    error = refusal_of(stub.Classify, pb.ClassifyRequest(text="x" * (5 << 20)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_health_is_known_by_service_and_can_be_watched(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", INFERENCE, "thumbwheel.feedback.v1.FeedbackService"):
        assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status == SERVING
    assert refusal_of(health.Check, health_pb2.HealthCheckRequest(service="no")).code() is grpc.StatusCode.NOT_FOUND
    watched = health.Watch(health_pb2.HealthCheckRequest(service=INFERENCE), timeout=20)
    assert next(iter(watched)).status == SERVING
    watched.cancel()


def test_reflection_lists_what_is_offered_and_not_the_operators_service(channel: grpc.Channel) -> None:
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    [answer] = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=20)
    assert {one.name for one in answer.list_services_response.service} == {
        INFERENCE,
        "thumbwheel.feedback.v1.FeedbackService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_the_operators_door_is_elsewhere(service: ServiceProcess, channel: grpc.Channel) -> None:
    raw = channel.unary_unary(
        "/thumbwheel.admin.v1.AdminService/GetStatus", request_serializer=bytes, response_deserializer=bytes
    )
    assert refusal_of(raw, b"").code() is grpc.StatusCode.UNIMPLEMENTED
    assert service.addresses["admin"] != service.addresses["grpc"]


def test_a_vote_is_taken_again_under_its_id_and_refused_with_another_token(channel: grpc.Channel, stub: Any) -> None:
    stamps = [stub.Classify(pb.ClassifyRequest(text="x", user=ANN), timeout=20).stamp for _ in range(2)]
    feedback, vote_id = FeedbackServiceStub(channel), str(uuid.uuid4())

    def vote(token: str) -> fb.SubmitFeedbackRequest:
        return fb.SubmitFeedbackRequest(
            feedback_id=vote_id,
            response_id=stamps[0].response_id,
            feedback_token=token,
            user_id="ann",
            thumb=fb.THUMB_UP,
        )

    for _ in range(3):
        assert feedback.SubmitFeedback(vote(stamps[0].feedback_token), timeout=20).feedback_id == vote_id
    stolen = refusal_of(feedback.SubmitFeedback, vote(stamps[1].feedback_token))
    assert stolen.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refusal_of(feedback.SubmitFeedback, vote("")).code() is grpc.StatusCode.UNAUTHENTICATED


def long_streams(stub: Any) -> tuple[list[Any], Any]:
    """Fill every queue with replies that don't end; return the calls, and the refusal of one more."""
    calls: list[Any] = []
    request = pb.GenerateRequest(policy="endless", prompt="x", n=QUEUE, sampling=pb.Sampling(max_new_tokens=2000))
    while len(calls) < 10:
        call = stub.StreamGenerate(request, timeout=120)
        try:
            next(iter(call))
        except grpc.RpcError as refused:
            return calls, refused
        calls.append(call)
    raise AssertionError("nothing is refused")


def answers_soon(stub: Any) -> None:
    """Ask as much as a queue takes, until it is taken: in far less time than a long reply takes."""
    request = pb.GenerateRequest(policy="endless", prompt="x", n=QUEUE, sampling=pb.Sampling(max_new_tokens=2))
    for _ in range(4):  # all replicas get some
        ends = time.monotonic() + 30
        while True:
            try:
                stub.Generate(request, timeout=30)
                break
            except grpc.RpcError as refused:
                assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert time.monotonic() < ends


def test_a_full_queue_refuses_with_a_hint_and_cancelled_streams_make_room(stub: Any) -> None:
    calls, refused = long_streams(stub)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "generate.queue_limit" in refused.details()
    retry = detail(refused, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == int(dict(refused.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert calls
    for call in calls:
        call.cancel()
    answers_soon(stub)


@pytest.mark.parametrize("method", ["Generate", "StreamGenerate"])
def test_a_missed_deadline_makes_room(stub: Any, method: str) -> None:
    request = pb.GenerateRequest(policy="endless", prompt="x", n=QUEUE, sampling=pb.Sampling(max_new_tokens=2000))
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as missed:
            answered = getattr(stub, method)(request, timeout=0.5)
            if method == "StreamGenerate":
                list(answered)
        assert missed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    answers_soon(stub)
