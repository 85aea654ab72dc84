"""A scripted service behind a real gRPC server: it records requests and fails as told."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.admin.v1.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceServicer, add_FeedbackServiceServicer_to_server
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server


@dataclass(frozen=True)
class Refusal:
    """A status to fail with, and its details."""

    code: grpc.StatusCode
    message: str = "no"
    reason: str = ""
    field_name: str = ""
    retry_after_ms: int | None = None

    def abort(self, context: grpc.ServicerContext) -> None:
        details: list[Message] = []
        if self.reason:
            details.append(error_details_pb2.ErrorInfo(reason=self.reason, domain="thumbwheel"))
        if self.field_name:
            violation = error_details_pb2.BadRequest.FieldViolation(field=self.field_name, description=self.message)
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if self.retry_after_ms is not None:
            delay = duration_pb2.Duration(nanos=self.retry_after_ms * 1_000_000)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        packed = []
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.code, self.message)


def stamp(response_id: str = "r1", logged: bool = True) -> inf.Stamp:
    return inf.Stamp(
        response_id=response_id,
        policy="desk",
        policy_version="v3",
        checkpoint_digest="sha256:ab",
        feedback_token=f"token-of-{response_id}",
        channel="champion",
        logged=logged,
    )


def candidate(response_id: str, text: str) -> inf.Candidate:
    return inf.Candidate(
        stamp=stamp(response_id),
        text=text,
        finish_reason=inf.FINISH_REASON_STOP,
        prompt_tokens=3,
        completion_tokens=2,
    )


@dataclass
class Script:
    """What the service does: `refusals` come first, one a call, then the answers."""

    refusals: deque[Refusal] = field(default_factory=deque)
    requests: list[Any] = field(default_factory=list)
    remaining_s: list[float] = field(default_factory=list)
    logged: bool = True
    stream: list[inf.StreamGenerateResponse | Refusal] = field(default_factory=list)
    cancelled: list[bool] = field(default_factory=list)
    admin: dict[str, Any] = field(default_factory=dict)

    def refuse(self, code: grpc.StatusCode, message: str = "no", **details: Any) -> None:
        """Fail the next call; `details` are the fields of `Refusal`."""
        self.refusals.append(Refusal(code, message, **details))

    def say(self, *pieces: str, finish: bool = True, candidate: int = 0) -> None:
        """Let the stream have these pieces of one candidate's text."""
        own = stamp(f"r{candidate}")
        self.stream.append(inf.StreamGenerateResponse(stamp=own, candidate=candidate))
        self.stream += [inf.StreamGenerateResponse(text_delta=piece, candidate=candidate) for piece in pieces]
        if finish:
            last = inf.StreamGenerateResponse(stamp=own, candidate=candidate, finish_reason=inf.FINISH_REASON_LENGTH)
            last.prompt_tokens, last.completion_tokens = 7, len(pieces)
            self.stream.append(last)

    def break_stream(self, code: grpc.StatusCode) -> None:
        """Let the stream fail here."""
        self.stream.append(Refusal(code))

    def take(self, request: Any, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.remaining_s.append(context.time_remaining() or float("inf"))
        if self.refusals:
            self.refusals.popleft().abort(context)


class Inference(InferenceServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def Classify(self, request: inf.ClassifyRequest, context: grpc.ServicerContext) -> inf.ClassifyResponse:
        self.script.take(request, context)
        probabilities = [inf.LabelProbability(label="lost", probability=0.75), inf.LabelProbability(label="other")]
        return inf.ClassifyResponse(stamp=stamp(logged=self.script.logged), label="lost", probabilities=probabilities)

    def Generate(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> inf.GenerateResponse:
        self.script.take(request, context)
        return inf.GenerateResponse(candidates=[candidate("r2", "hello you"), candidate("r1", "go away")])

    def StreamGenerate(
        self, request: inf.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[inf.StreamGenerateResponse]:
        self.script.take(request, context)
        for message in self.script.stream:
            if isinstance(message, Refusal):
                message.abort(context)
            else:
                yield message

    def Tag(self, request: inf.TagRequest, context: grpc.ServicerContext) -> inf.TagResponse:
        self.script.take(request, context)
        tokens = [
            inf.TaggedToken(token="to", tag="O", start=0, end=2, probability=0.75),
            inf.TaggedToken(token="Rome", tag="B-city", start=3, end=7, probability=0.5),
        ]
        return inf.TagResponse(stamp=stamp(logged=self.script.logged), tokens=tokens)

    def DescribePolicy(
        self, request: inf.DescribePolicyRequest, context: grpc.ServicerContext
    ) -> inf.DescribePolicyResponse:
        self.script.take(request, context)
        served = inf.ServedVersion(channel="champion", policy_version="v3", checkpoint_digest="sha256:ab")
        desk = inf.PolicyDescription(
            policy="desk",
            kind=inf.POLICY_KIND_CLASSIFY,
            served=[served],
            labels=["lost", "other"],
            max_input_tokens=128,
            probability_floor=0.5,
        )
        return inf.DescribePolicyResponse(policies=[desk])


class Feedback(FeedbackServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def SubmitFeedback(
        self, request: fb.SubmitFeedbackRequest, context: grpc.ServicerContext
    ) -> fb.SubmitFeedbackResponse:
        self.script.take(request, context)
        return fb.SubmitFeedbackResponse(feedback_id=request.feedback_id)

    def RetractFeedback(
        self, request: fb.RetractFeedbackRequest, context: grpc.ServicerContext
    ) -> fb.RetractFeedbackResponse:
        self.script.take(request, context)
        return fb.RetractFeedbackResponse(feedback_id=request.feedback_id)


def _scripted(name: str) -> Any:
    def method(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        self.script.take(request, context)
        return self.script.admin[name]

    return method


class Admin(AdminServiceServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    ListPolicies = _scripted("ListPolicies")
    ListVersions = _scripted("ListVersions")
    DescribeVersion = _scripted("DescribeVersion")
    Promote = _scripted("Promote")
    Rollback = _scripted("Rollback")
    ListHistory = _scripted("ListHistory")
    ListRuns = _scripted("ListRuns")
    DescribeRun = _scripted("DescribeRun")
    StartRun = _scripted("StartRun")
    EraseUser = _scripted("EraseUser")
    Status = _scripted("Status")
    StartCanary = _scripted("StartCanary")
    StopTrial = _scripted("StopTrial")
    ListTrials = _scripted("ListTrials")
    SetShadow = _scripted("SetShadow")


@pytest.fixture
def script() -> Script:
    change = adm.ChannelChange(policy="desk", channel="champion", previous_version="v3", version="v2")
    return Script(admin={"Rollback": change, "Promote": change})


@pytest.fixture
def target(script: Script) -> Iterator[str]:
    """Address of a running service that follows the script."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    add_InferenceServiceServicer_to_server(Inference(script), server)
    add_FeedbackServiceServicer_to_server(Feedback(script), server)
    add_AdminServiceServicer_to_server(Admin(script), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a door that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
