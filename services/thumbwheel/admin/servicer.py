"""The operators' door: what is served and learned, and the levers. Every change needs a reason and leaves a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from grpc.aio import ServicerContext
from structlog.contextvars import bind_contextvars

from thumbwheel.admin import convert, validate
from thumbwheel.admin.ports import Erasure, Loop, ServiceFacts
from thumbwheel.admin.v1 import admin_pb2 as pb
from thumbwheel.admin.v1.admin_pb2_grpc import AdminServiceServicer
from thumbwheel.errors import LogUnavailable, UnknownPolicy, UnknownRun
from thumbwheel.records import Channel, PolicyKind, VoteCounts
from thumbwheel.registry.port import Registry
from thumbwheel.registry.trial import NewTrial, Trial, TrialKind
from thumbwheel.store.port import FeedbackStore

_Context = ServicerContext[Any, Any]
_Answer = TypeVar("_Answer")
_NO_VOTES = VoteCounts()
_RUNS = 20
_HISTORY = 50

logger = structlog.get_logger("thumbwheel.audit")


class AdminServicer(AdminServiceServicer):
    """Implements `thumbwheel.admin.v1.AdminService`. What blocks runs on threads."""

    def __init__(
        self,
        registry: Registry,
        store: FeedbackStore,
        loop: Loop,
        eraser: Erasure,
        facts: ServiceFacts,
        moved: Callable[[], None],
    ) -> None:
        """Operate on these. `moved` is called, on the event loop, after a channel was moved."""
        self._registry = registry
        self._store = store
        self._loop = loop
        self._eraser = eraser
        self._facts = facts
        self._moved = moved

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: _Context) -> pb.ListPoliciesResponse:
        """List every policy, by name."""
        return await _threaded(self._list_policies)

    async def ListVersions(self, request: pb.ListVersionsRequest, context: _Context) -> pb.ListVersionsResponse:
        """List the versions of a policy, newest first, with their live votes."""
        return await _threaded(lambda: self._list_versions(validate.named("policy", request.policy)))

    async def DescribeVersion(
        self, request: pb.DescribeVersionRequest, context: _Context
    ) -> pb.DescribeVersionResponse:
        """Describe a version, with its manifest."""
        policy, version = validate.named("policy", request.policy), validate.named("version", request.version)
        return await _threaded(lambda: self._describe_version(policy, version))

    async def Promote(self, request: pb.PromoteRequest, context: _Context) -> pb.ChannelChange:
        """Make a version the champion; its files are checked first. Of one that is it already nothing is written."""
        policy, version = validate.named("policy", request.policy), validate.named("version", request.version)
        reason, actor = validate.reason(request.reason), validate.actor(request.actor)
        change = await _threaded(
            lambda: self._registry.move(policy, Channel.CHAMPION, version, actor=actor, reason=reason)
        )
        if change.previous != change.version:
            self._moved()
            _audit("promoted", actor, reason, policy=policy, previous=change.previous, version=change.version)
        return convert.channel_change(change)

    async def Rollback(self, request: pb.RollbackRequest, context: _Context) -> pb.ChannelChange:
        """Return the champion to the version before."""
        policy = validate.named("policy", request.policy)
        reason, actor = validate.reason(request.reason), validate.actor(request.actor)
        change = await _threaded(lambda: self._registry.rollback(policy, actor=actor, reason=reason))
        self._moved()
        _audit("rolled back", actor, reason, policy=policy, previous=change.previous, version=change.version)
        return convert.channel_change(change)

    async def StartCanary(self, request: pb.StartCanaryRequest, context: _Context) -> pb.Trial:
        """Begin a canary's trial."""
        policy, version = validate.named("policy", request.policy), validate.named("version", request.version)
        reason, actor = validate.reason(request.reason), validate.actor(request.actor)
        share = validate.share(request.share) or self._facts.canary_share
        begun = await _threaded(lambda: self._start_canary(policy, version, share, actor, reason))
        self._moved()
        _audit("canary started", actor, reason, policy=policy, version=version, share=share)
        return convert.trial(begun)

    async def StopTrial(self, request: pb.StopTrialRequest, context: _Context) -> pb.Trial:
        """End the trial that is running."""
        policy = validate.named("policy", request.policy)
        reason, actor = validate.reason(request.reason), validate.actor(request.actor)
        ended = await _threaded(lambda: self._registry.trials.stop(policy, actor=actor, reason=reason))
        self._moved()
        _audit("trial stopped", actor, reason, policy=policy, version=ended.version)
        return convert.trial(ended)

    async def ListTrials(self, request: pb.ListTrialsRequest, context: _Context) -> pb.ListTrialsResponse:
        """List the trials of a policy, newest first."""
        policy, limit = validate.named("policy", request.policy), validate.limit(request.limit, _RUNS)
        return await _threaded(lambda: self._list_trials(policy, limit))

    async def SetShadow(self, request: pb.SetShadowRequest, context: _Context) -> pb.ChannelChange:
        """Let a version answer unseen, or none."""
        policy, version = validate.named("policy", request.policy), request.version
        reason, actor = validate.reason(request.reason), validate.actor(request.actor)
        change = await _threaded(
            lambda: self._registry.move(policy, Channel.SHADOW, version, actor=actor, reason=reason)
        )
        self._moved()
        _audit("shadow set", actor, reason, policy=policy, previous=change.previous, version=change.version)
        return convert.channel_change(change)

    async def ListHistory(self, request: pb.ListHistoryRequest, context: _Context) -> pb.ListHistoryResponse:
        """List the audit trail, newest first; of every policy when none is named."""
        limit = validate.limit(request.limit, _HISTORY)
        return await _threaded(lambda: self._list_history(request.policy, limit))

    async def ListRuns(self, request: pb.ListRunsRequest, context: _Context) -> pb.ListRunsResponse:
        """List runs, newest first; of every policy when none is named."""
        limit = validate.limit(request.limit, _RUNS)
        return await _threaded(lambda: self._list_runs(request.policy, limit))

    async def DescribeRun(self, request: pb.DescribeRunRequest, context: _Context) -> pb.DescribeRunResponse:
        """Describe a run, with its gates."""
        return await _threaded(lambda: self._describe_run(validate.named("run_id", request.run_id)))

    async def StartRun(self, request: pb.StartRunRequest, context: _Context) -> pb.StartRunResponse:
        """Start a training run now."""
        policy, actor = validate.named("policy", request.policy), validate.actor(request.actor)
        run_id = await _threaded(lambda: self._start_run(policy, actor))
        _audit("run started", actor, "asked for", policy=policy, run_id=run_id)
        return pb.StartRunResponse(run_id=run_id)

    async def EraseUser(self, request: pb.EraseUserRequest, context: _Context) -> pb.EraseUserResponse:
        """Remove a user's texts and votes for good."""
        user_id = validate.user_id(request.user_id)
        reason, actor = validate.reason(request.reason), validate.actor(request.actor)
        report = await self._eraser.erase(user_id, actor, reason)
        _audit("user erased", actor, reason, responses=report.responses, feedback=report.feedback)
        return pb.EraseUserResponse(
            responses_erased=report.responses,
            feedback_erased=report.feedback,
            versions_trained_on_it=report.versions_trained_on_it,
            runs_ended=report.runs_ended,
        )

    async def Status(self, request: pb.StatusRequest, context: _Context) -> pb.StatusResponse:
        """Return where the loop stands."""
        return await _threaded(self._status)

    def _list_policies(self) -> pb.ListPoliciesResponse:
        return pb.ListPoliciesResponse(
            policies=[self._policy_summary(policy, kind) for policy, kind in self._registry.policies()]
        )

    def _policy_summary(self, policy: str, kind: PolicyKind) -> pb.PolicySummary:
        channels = self._registry.channels(policy)
        return pb.PolicySummary(
            policy=policy,
            kind=kind.value,
            champion=channels.get(Channel.CHAMPION, ""),
            canary=channels.get(Channel.CANARY, ""),
            versions=len(self._registry.versions(policy)),
        )

    def _list_versions(self, policy: str) -> pb.ListVersionsResponse:
        manifests, channels = self._registry.versions(policy), self._registry.channels(policy)
        votes = self._store.vote_counts(policy)
        return pb.ListVersionsResponse(
            versions=[convert.version_summary(one, channels, votes.get(one.version, _NO_VOTES)) for one in manifests]
        )

    def _describe_version(self, policy: str, version: str) -> pb.DescribeVersionResponse:
        manifest = self._registry.manifest(policy, version)
        votes = self._store.vote_counts(policy).get(version, _NO_VOTES)
        summary = convert.version_summary(manifest, self._registry.channels(policy), votes)
        return convert.version_description(summary, manifest)

    def _list_history(self, policy: str, limit: int) -> pb.ListHistoryResponse:
        if policy:
            self._demand_policy(policy)
        names = [policy] if policy else [name for name, _ in self._registry.policies()]
        moves = [convert.moved(change) for name in names for change in self._registry.history(name, limit)]
        trail = sorted([*self._store.audit_trail(policy, limit), *moves], key=lambda entry: entry.time_us, reverse=True)
        return pb.ListHistoryResponse(entries=[convert.audit_entry(entry) for entry in trail[:limit]])

    def _list_runs(self, policy: str, limit: int) -> pb.ListRunsResponse:
        if policy:
            self._demand_policy(policy)
        runs = self._store.runs(policy, limit)
        return pb.ListRunsResponse(runs=[convert.run_summary(run, self._facts.report_of(run)) for run in runs])

    def _describe_run(self, run_id: str) -> pb.DescribeRunResponse:
        run = self._store.run(run_id)
        if run is None:
            raise UnknownRun(f"run_id: there is no run {run_id!r}; `thumbwheel runs` lists them")
        return convert.run_description(run, self._facts.report_of(run))

    def _start_run(self, policy: str, actor: str) -> str:
        self._demand_policy(policy)
        return self._loop.start_run(policy, actor)

    def _status(self) -> pb.StatusResponse:
        backlog, log_problem = self._backlog()
        return pb.StatusResponse(
            service_version=self._facts.version,
            started_unix_us=self._facts.started_us,
            policies=[self._policy_status(policy, kind) for policy, kind in self._registry.policies()],
            log_backlog_events=backlog,
            log_problem=log_problem,
            dead_letters=self._store.count_dead_letters(),
            orphan_votes=self._store.count_orphans(),
            home=str(self._facts.home),
        )

    def _backlog(self) -> tuple[int, str]:
        """Return how many events are on their way, and why that may be too few. Operators look when a part is away."""
        try:
            return self._facts.backlog(), ""
        except LogUnavailable as error:
            return self._facts.unshipped(), str(error)

    def _policy_status(self, policy: str, kind: PolicyKind) -> pb.PolicyStatus:
        channels = self._registry.channels(policy)
        votes = self._store.vote_counts(policy).get(channels.get(Channel.CHAMPION, ""), _NO_VOTES)
        schedule, swap = self._loop.schedule(policy), self._facts.last_swap(policy)
        status = convert.policy_status(policy, kind, channels, votes, schedule, swap, self._facts.problem(policy))
        for trial in self._registry.trials.newest(policy):
            status.trial.CopyFrom(convert.trial(trial))
        status.earlier_champion = next(iter(self._registry.earlier_champions(policy)), "")
        return status

    def _start_canary(self, policy: str, version: str, share: float, actor: str, reason: str) -> Trial:
        self._demand_policy(policy)
        control = self._registry.channels(policy).get(Channel.CHAMPION, "")
        canary = NewTrial(TrialKind.CANARY, version, control, share)
        return self._registry.trials.start_canary(policy, canary, actor=actor, reason=reason)

    def _list_trials(self, policy: str, limit: int) -> pb.ListTrialsResponse:
        self._demand_policy(policy)
        trials = self._registry.trials.newest(policy, limit)
        return pb.ListTrialsResponse(trials=[convert.trial(one) for one in trials])

    def _demand_policy(self, policy: str) -> None:
        names = [name for name, _ in self._registry.policies()]
        if policy not in names:
            raise UnknownPolicy.among(policy, names)


async def _threaded(work: Callable[[], _Answer]) -> _Answer:
    return await asyncio.to_thread(work)


def _audit(event: str, actor: str, reason: str, **facts: object) -> None:
    """Leave a trace in the process log, besides the row in the audit trail."""
    if "policy" in facts:
        bind_contextvars(policy=facts["policy"])
    logger.info(event, actor=actor, reason=reason, **facts)
