"""A small service in memory behind real gRPC ports: genuine tokens, statuses and rules, no model and no disk.

It answers by rules a test can foresee: `topics` names the label whose name is in the text, `helpdesk` repeats the
question politely, word by word.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.admin.v1.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server
from thumbwheel.errors import (
    Conflict,
    InvalidInput,
    NothingToRetract,
    ThumbwheelError,
    UnknownPolicy,
    UnknownRun,
    UnknownVersion,
)
from thumbwheel.feedback.keys import Keys, TokenKey
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceServicer, add_FeedbackServiceServicer_to_server
from thumbwheel.hosts.status import refusal
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    RatedResponse,
    VersionRef,
)

TOPICS, HELPDESK = "topics", "helpdesk"
LABELS = ("delivery", "refund", "account", "other")
KEYS = Keys((TokenKey("9f3c11ab", b"t" * 32, 0),), b"u" * 32)
_KINDS = {
    fb.FEEDBACK_KIND_THUMB: FeedbackKind.THUMB,
    fb.FEEDBACK_KIND_RATING: FeedbackKind.RATING,
    fb.FEEDBACK_KIND_RANKING: FeedbackKind.RANKING,
    fb.FEEDBACK_KIND_EDIT: FeedbackKind.EDIT,
}


def now_us() -> int:
    return time.time_ns() // 1000


def gate(name: str, passed: bool, value: float, threshold: float, sentence: str, half: float = math.nan) -> adm.Gate:
    return adm.Gate(
        name=name,
        passed=passed,
        value=value,
        threshold=threshold,
        low=value - half,
        high=value + half,
        sentence=sentence,
    )


@dataclass
class World:
    """All that the service knows. `stream_gate` holds streams after their first word until it is set."""

    responses: dict[str, LoggedResponse] = field(default_factory=dict)
    votes: dict[tuple[str, str, FeedbackKind], Feedback] = field(default_factory=dict)
    comments: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    versions: dict[str, list[adm.VersionSummary]] = field(default_factory=dict)
    champions: dict[str, list[str]] = field(default_factory=dict)
    history: list[adm.AuditEntry] = field(default_factory=list)
    runs: list[adm.DescribeRunResponse] = field(default_factory=list)
    status: adm.StatusResponse = field(default_factory=adm.StatusResponse)
    failures: dict[str, ThumbwheelError] = field(default_factory=dict)
    logged: bool = True
    stream_gate: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: two policies, three versions of each, one run that was promoted and one that was not."""
        for kept in (self.responses, self.votes, self.comments, self.history, self.runs, self.failures):
            kept.clear()
        self.logged = True
        self.cancelled.clear()
        self.stream_gate.set()
        self.champions = {TOPICS: ["v1", "v2"], HELPDESK: ["v1", "v2"]}
        self.versions = {policy: _versions(policy) for policy in (HELPDESK, TOPICS)}
        self.runs = [_run("run-0002", "rejected", "v3"), _run("run-0001", "promoted", "v2")]
        start = now_us() - 40 * 60_000_000
        moves = [("v1", "v2", "retrain", "run-0001: every gate passed"), ("", "v1", "init", "first version")]
        self.history = [
            _entry(policy, old, new, actor, reason, start - 60_000_000 * age)
            for policy in (HELPDESK, TOPICS)
            for age, (old, new, actor, reason) in enumerate(moves)
        ]
        self.status = _status()

    def champion(self, policy: str) -> str:
        return self.champions[policy][-1]

    def next_id(self) -> str:
        return f"01900000-0000-7000-8000-{next(self._ids):012d}"

    # What the store's port offers the pages.
    def votes_of(self, rater: str, limit: int) -> list[RatedResponse]:
        mine = [vote for vote in self.votes.values() if vote.rater == rater]
        newest = sorted(mine, key=lambda vote: vote.time_us, reverse=True)[:limit]
        by_response = {vote.response_id: None for vote in newest}
        return [
            RatedResponse(self.responses[one], tuple(vote for vote in newest if vote.response_id == one))
            for one in by_response
        ]

    def response(self, response_id: str) -> LoggedResponse | None:
        return self.responses.get(response_id)


def _versions(policy: str) -> list[adm.VersionSummary]:
    figures = [("v3", "v2", "reject", 3, 1), ("v2", "v1", "promote", 228, 92), ("v1", "", "", 402, 398)]
    return [
        adm.VersionSummary(
            policy=policy,
            version=version,
            parent=parent,
            digest=f"sha256:{index}c0ffee{policy.encode().hex()}" + "0" * 40,
            created_unix_us=now_us() - 3_600_000_000 * (index + 1),
            verdict=verdict,
            votes=adm.VoteCounts(
                responses=3 * (up + down), thumbs_up=up, thumbs_down=down, ratings=12, rating_mean=3.75, edits=4
            ),
        )
        for index, (version, parent, verdict, up, down) in enumerate(figures)
    ]


def _run(run_id: str, state: str, candidate: str) -> adm.DescribeRunResponse:
    is_better = state == "promoted"
    started = now_us() - (3_600_000_000 if is_better else 600_000_000)
    summary = adm.RunSummary(
        run_id=run_id,
        policy=HELPDESK,
        state=state,
        step="publish" if is_better else "judge",
        parent_version="v1" if is_better else "v2",
        candidate_version=candidate,
        started_unix_us=started,
        ended_unix_us=started + 95_000_000,
        summary="Users like it better and nothing got worse." if is_better else "Not sure enough that it is better.",
        votes=3012 if is_better else 1240,
        report_path=f"{run_id}/report.html",
    )
    gates = [
        gate("data sanity", True, 0.04, 0.2, "No rater gave more than 4 % of the votes."),
        gate("held-out reward", is_better, 0.21 if is_better else 0.02, 0.0, "Reward over the champion's.", 0.05),
        gate("forgetting", True, 1.01, 1.05, "Text worth keeping is as likely as before."),
    ]
    return adm.DescribeRunResponse(summary=summary, gates=gates)


def _entry(policy: str, old: str, new: str, actor: str, reason: str, time_us: int) -> adm.AuditEntry:
    return adm.AuditEntry(
        time_unix_us=time_us,
        policy=policy,
        action="channel moved",
        channel="champion",
        previous_version=old,
        version=new,
        actor=actor,
        reason=reason,
    )


def _status() -> adm.StatusResponse:
    return adm.StatusResponse(
        service_version="0.1.0",
        started_unix_us=now_us(),
        policies=[
            adm.PolicyStatus(policy=HELPDESK, kind="generate", champion="v2", new_votes=312, votes_needed=1000),
            adm.PolicyStatus(policy=TOPICS, kind="classify", champion="v2", new_votes=7),
        ],
    )


def _refusing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors of the tree into statuses, as the host does, and fail on demand."""

    @functools.wraps(method)
    def refusing(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            if method.__name__ in self.world.failures:
                raise self.world.failures[method.__name__]
            return method(self, request, context)
        except ThumbwheelError as error:
            refused = refusal(error, "test")
            context.set_trailing_metadata(refused.metadata)
            context.abort(refused.code, refused.message)

    return refusing


class _Servicer:
    def __init__(self, world: World) -> None:
        self.world = world


class Inference(_Servicer, InferenceServiceServicer):
    """Answers by rule."""

    @_refusing
    def DescribePolicy(self, request: inf.DescribePolicyRequest, context: grpc.ServicerContext) -> Any:
        kinds = {HELPDESK: inf.POLICY_KIND_GENERATE, TOPICS: inf.POLICY_KIND_CLASSIFY}
        policies = [
            inf.PolicyDescription(
                policy=policy,
                kind=kind,
                served=[inf.ServedVersion(channel="champion", policy_version=self.world.champion(policy))],
                labels=LABELS if policy == TOPICS else (),
            )
            for policy, kind in kinds.items()
            if request.policy in ("", policy)
        ]
        return inf.DescribePolicyResponse(policies=policies)

    @_refusing
    def Classify(self, request: inf.ClassifyRequest, context: grpc.ServicerContext) -> Any:
        if request.policy != TOPICS:
            raise UnknownPolicy(f"policy: {request.policy!r} is not served; there are: {TOPICS}")
        label = next((label for label in LABELS if label in request.text.lower()), "other")
        order = sorted(LABELS, key=lambda one: one != label)
        probabilities = [0.85, 0.05, 0.05, 0.05]
        answer = ClassifyAnswer(request.text, LABELS.index(label), label, (0.25,) * 4, 0.02, LABELS)
        stamp = _stamped(self.world, TOPICS, request.user.id, answer)
        likely = [inf.LabelProbability(label=one, probability=p) for one, p in zip(order, probabilities, strict=True)]
        return inf.ClassifyResponse(stamp=stamp, label=label, probabilities=likely)

    @_refusing
    def Generate(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> Any:
        _demand_helpdesk(request)
        openings = ["Thank you for writing:", "Sorry to hear that:"]
        candidates = []
        for index in range(request.n or 1):
            text = f"{openings[index % 2]} {request.prompt}"
            stamp = _stamped(self.world, HELPDESK, request.user.id, _generated(request.prompt, text))
            candidates.append(inf.Candidate(stamp=stamp, text=text, finish_reason=inf.FINISH_REASON_STOP))
        return inf.GenerateResponse(candidates=candidates)

    @_refusing
    def StreamGenerate(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> Any:
        _demand_helpdesk(request)
        return self._words(request, context)

    @_refusing
    def Tag(self, request: inf.TagRequest, context: grpc.ServicerContext) -> Any:
        raise UnknownPolicy("policy: no `tag` policy is served")

    def _words(self, request: inf.GenerateRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(lambda: None if context.is_active() else self.world.cancelled.set())
        text = f"Thank you for writing: {request.prompt}"
        stamp = _stamped(self.world, HELPDESK, request.user.id, _generated(request.prompt, text))
        yield inf.StreamGenerateResponse(stamp=stamp)
        for index, word in enumerate(text.split(" ")):
            yield inf.StreamGenerateResponse(text_delta=word if index == 0 else f" {word}")
            self.world.stream_gate.wait(timeout=60)
            if "break" in self.world.failures:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the engine went away")
        yield inf.StreamGenerateResponse(stamp=stamp, finish_reason=inf.FINISH_REASON_STOP)


def _demand_helpdesk(request: inf.GenerateRequest) -> None:
    if request.policy != HELPDESK:
        raise UnknownPolicy(f"policy: {request.policy!r} is not served; there are: {HELPDESK}")
    if not request.prompt:
        raise InvalidInput("prompt", "must have 1 to 16,000 characters")


def _generated(prompt: str, text: str) -> GenerateAnswer:
    return GenerateAnswer((Message("", prompt),), text, (1,), (2,), (-0.5,), 1.0, 1.0, 0, 64, "stop", 0, 1)


def _stamped(world: World, policy: str, user: str, answer: GenerateAnswer | ClassifyAnswer) -> inf.Stamp:
    """Log an answer and return its stamp."""
    response_id, version = world.next_id(), world.champion(policy)
    ref = VersionRef(policy, version, "sha256:ab")
    rater = Raters(KEYS.user_key).rater(user, response_id)
    token = TokenSigner(KEYS, 3600).sign(response_id, response_id, rater, policy, version, now_us())
    world.responses[response_id] = LoggedResponse(
        response_id, response_id, ref, Channel.CHAMPION, "", rater, "", now_us(), "", answer
    )
    return inf.Stamp(
        response_id=response_id,
        policy=policy,
        policy_version=version,
        feedback_token=token,
        channel="champion",
        logged=world.logged,
    )


class FeedbackDoor(_Servicer, FeedbackServiceServicer):
    """Checks tokens and keeps the current votes."""

    @_refusing
    def SubmitFeedback(self, request: fb.SubmitFeedbackRequest, context: grpc.ServicerContext) -> Any:
        rater = self._verified(request.user_id, request.response_id, request.feedback_token)
        ranked = request.ranking.best_first
        for one in ranked:
            self._verified(request.user_id, one.response_id, one.feedback_token)
        vote = _vote(request, rater, self.world.responses[request.response_id].ref)
        self.world.votes[vote.response_id, rater, vote.kind] = vote
        return fb.SubmitFeedbackResponse(feedback_id=request.feedback_id)

    @_refusing
    def RetractFeedback(self, request: fb.RetractFeedbackRequest, context: grpc.ServicerContext) -> Any:
        rater = self._verified(request.user_id, request.response_id, request.feedback_token)
        if self.world.votes.pop((request.response_id, rater, _KINDS[request.kind]), None) is None:
            raise NothingToRetract("there is no vote of this kind on this answer")
        return fb.RetractFeedbackResponse(feedback_id=request.feedback_id)

    def _verified(self, user: str, response_id: str, token: str) -> str:
        rater = Raters(KEYS.user_key).rater(user, response_id)
        TokenSigner(KEYS, 3600).verify(token, response_id, rater, now_us())
        return rater


def _vote(request: fb.SubmitFeedbackRequest, rater: str, ref: VersionRef) -> Feedback:
    """A ranking is kept under the smallest id of those ranked."""
    kind = FeedbackKind(request.WhichOneof("feedback") or "thumb")
    ranking = tuple(one.response_id for one in request.ranking.best_first)
    return Feedback(
        feedback_id=request.feedback_id,
        response_id=min(ranking, default=request.response_id),
        rater=rater,
        tenant="",
        policy=ref.policy,
        policy_version=ref.version,
        kind=kind,
        time_us=now_us(),
        thumb_up=request.thumb == fb.THUMB_UP if kind is FeedbackKind.THUMB else None,
        rating=request.rating if kind is FeedbackKind.RATING else None,
        ranking=ranking,
        edit=Edit(request.edit.text, request.edit.label) if kind is FeedbackKind.EDIT else None,
        comment=request.comment,
        reasons=tuple(request.reasons),
    )


class Admin(_Servicer, AdminServiceServicer):
    """Versions, runs and levers."""

    @_refusing
    def ListPolicies(self, request: adm.ListPoliciesRequest, context: grpc.ServicerContext) -> Any:
        kinds = {HELPDESK: "generate", TOPICS: "classify"}
        policies = [
            adm.PolicySummary(policy=policy, kind=kinds[policy], champion=self.world.champion(policy), versions=3)
            for policy in self.world.versions
        ]
        return adm.ListPoliciesResponse(policies=policies)

    @_refusing
    def ListVersions(self, request: adm.ListVersionsRequest, context: grpc.ServicerContext) -> Any:
        versions = []
        if request.policy not in self.world.versions:
            raise UnknownPolicy(f"policy: there is no {request.policy!r}")
        for version in self.world.versions[request.policy]:
            row = adm.VersionSummary()
            row.CopyFrom(version)
            if version.version == self.world.champion(request.policy):
                row.channels.append("champion")
            versions.append(row)
        return adm.ListVersionsResponse(versions=versions)

    @_refusing
    def ListRuns(self, request: adm.ListRunsRequest, context: grpc.ServicerContext) -> Any:
        return adm.ListRunsResponse(
            runs=[run.summary for run in self.world.runs if request.policy in ("", run.summary.policy)]
        )

    @_refusing
    def DescribeRun(self, request: adm.DescribeRunRequest, context: grpc.ServicerContext) -> Any:
        for run in self.world.runs:
            if run.summary.run_id == request.run_id:
                return run
        raise UnknownRun(f"run_id: there is no run {request.run_id!r}")

    @_refusing
    def ListHistory(self, request: adm.ListHistoryRequest, context: grpc.ServicerContext) -> Any:
        entries = [entry for entry in self.world.history if entry.policy == request.policy]
        return adm.ListHistoryResponse(entries=entries[: request.limit])

    @_refusing
    def Promote(self, request: adm.PromoteRequest, context: grpc.ServicerContext) -> Any:
        if request.version not in {one.version for one in self.world.versions[request.policy]}:
            raise UnknownVersion(f"version: {request.policy} has no version {request.version!r}")
        return self._moved(request.policy, request.version, request.actor, request.reason)

    @_refusing
    def Rollback(self, request: adm.RollbackRequest, context: grpc.ServicerContext) -> Any:
        if len(self.world.champions[request.policy]) < 2:
            raise Conflict("there is no earlier champion to return to")
        present = self.world.champions[request.policy].pop()
        earlier = self.world.champions[request.policy].pop()
        change = self._moved(request.policy, earlier, request.actor, request.reason)
        self.world.history[0].previous_version = change.previous_version = present
        return change

    @_refusing
    def StartRun(self, request: adm.StartRunRequest, context: grpc.ServicerContext) -> Any:
        run = _run("run-0003", "running", "")
        run.summary.ended_unix_us = 0
        self.world.runs.insert(0, run)
        return adm.StartRunResponse(run_id="run-0003")

    @_refusing
    def DescribeVersion(self, request: adm.DescribeVersionRequest, context: grpc.ServicerContext) -> Any:
        raise UnknownVersion("version: the pages never ask for one")

    @_refusing
    def EraseUser(self, request: adm.EraseUserRequest, context: grpc.ServicerContext) -> Any:
        raise InvalidInput("user_id", "the pages never erase anybody")

    @_refusing
    def Status(self, request: adm.StatusRequest, context: grpc.ServicerContext) -> Any:
        return self.world.status

    def _moved(self, policy: str, version: str, actor: str, reason: str) -> adm.ChannelChange:
        champions = self.world.champions[policy]
        previous = champions[-1] if champions else ""
        champions.append(version)
        self.world.history.insert(0, _entry(policy, previous, version, actor, reason, now_us()))
        return adm.ChannelChange(policy=policy, channel="champion", previous_version=previous, version=version)


@dataclass(frozen=True)
class DemoService:
    """A running service."""

    world: World
    target: str
    server: grpc.Server

    @classmethod
    def start(cls) -> DemoService:
        """Serve everything on one free port."""
        world = World()
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        add_InferenceServiceServicer_to_server(Inference(world), server)
        add_FeedbackServiceServicer_to_server(FeedbackDoor(world), server)
        add_AdminServiceServicer_to_server(Admin(world), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return cls(world, f"127.0.0.1:{port}", server)

    def stop(self) -> None:
        self.world.stream_gate.set()
        self.server.stop(grace=1).wait()
