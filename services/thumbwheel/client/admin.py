"""The operator's client: versions, runs, promotion, erasure."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.admin.v1.admin_pb2_grpc import AdminServiceStub
from thumbwheel.client.channel import DEFAULT_TIMEOUT_S, Tls, open_channel
from thumbwheel.client.requests import request_of
from thumbwheel.client.retry import Attempts, RetryPolicy, Safety
from thumbwheel.client.sync import call
from thumbwheel.client.trials import TrialReport, trial_report
from thumbwheel.client.values import real, seconds
from thumbwheel.records import (
    AuditAction,
    AuditEntry,
    Channel,
    ErasureReport,
    GateResult,
    PolicyKind,
    Run,
    RunState,
    RunStep,
    VoteCounts,
)


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """A policy: what its channels point at and how many versions it has."""

    policy: str
    kind: PolicyKind
    champion: str
    canary: str
    versions: int


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A version of a policy with its live votes."""

    policy: str
    version: str
    parent: str
    digest: str
    run_id: str
    created_us: int
    channels: tuple[str, ...]
    verdict: str
    votes: VoteCounts


@dataclass(frozen=True, slots=True)
class Moved:
    """A channel's pointer that moved; if `previous` is `version` it pointed there already, and nothing was done."""

    policy: str
    channel: Channel
    previous: str
    version: str


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """Where the loop of a policy stands. `next_run_us` is 0 and `schedule` empty where no clock starts runs.

    `new_votes` are of the kinds that a run learns from, `new_other_votes` of the rest. `problem` says why the champion
    is not served; empty: it is. `trial` is the latest one, if any; `shadow` answers unseen.
    `earlier_champion` is what a rollback returns to; empty: there is nothing.
    """

    policy: str
    kind: PolicyKind
    champion: str
    canary: str
    new_votes: int
    votes_needed: int
    schedule: str
    next_run_us: int
    running_run_id: str
    thumbs_up_rate: float
    thumbs: int
    running_step: str = ""
    running_progress: float = 0.0
    last_swap_version: str = ""
    last_swap_duration_s: float = 0.0
    problem: str = ""
    new_other_votes: int = 0
    earlier_champion: str = ""
    trial: TrialReport | None = None
    shadow: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Where the whole loop stands. `log_backlog_events` are acknowledged and not yet in the store.

    With a `log_problem` the log is away, and only those are counted that the service still holds itself.
    """

    service_version: str
    started_us: int
    policies: tuple[PolicyStatus, ...]
    log_backlog_events: int
    dead_letters: int
    orphan_votes: int
    home: str
    log_problem: str = ""


class AdminClient:
    """Calls the admin service, which has its own port. A context manager; safe to share between threads.

    Every call has a deadline and raises a `thumbwheel.errors.ThumbwheelError`. Calls that would do something
    twice (`rollback`, `start_run`) are never repeated.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:7071",
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        tls: Tls | None = None,
        api_key: str = "",
    ) -> None:
        """Reach the admin port at `target`; a call, retries included, lasts at most `timeout_s` seconds.

        With `tls`, or `credentials`, the connection is encrypted; `api_key` goes along with every call.
        """
        self._timeout_s = seconds("timeout_s", timeout_s)
        self._channel: grpc.Channel = open_channel(grpc, target, credentials, tls, api_key)
        self._stub: AdminServiceStub = AdminServiceStub(self._channel)
        self._retry = retry or RetryPolicy()

    def policies(self) -> tuple[PolicySummary, ...]:
        """Return every policy, by name."""
        response = call(self._stub.ListPolicies, adm.ListPoliciesRequest(), self._again())
        return tuple(
            PolicySummary(one.policy, PolicyKind(one.kind), one.champion, one.canary, one.versions)
            for one in response.policies
        )

    def versions(self, policy: str) -> tuple[VersionSummary, ...]:
        """Return the versions of a policy, newest first. Raises UnknownPolicy."""
        response = call(self._stub.ListVersions, request_of(adm.ListVersionsRequest, policy=policy), self._again())
        return tuple(_version(one) for one in response.versions)

    def version(self, policy: str, version: str) -> tuple[VersionSummary, str]:
        """Return a version and its manifest (JSON). Raises UnknownPolicy, UnknownVersion."""
        request = request_of(adm.DescribeVersionRequest, policy=policy, version=version)
        response = call(self._stub.DescribeVersion, request, self._again())
        return _version(response.summary), response.manifest_json

    def promote(self, policy: str, version: str, *, reason: str, actor: str) -> Moved:
        """Make a version the champion, if it is not already. Raises UnknownPolicy, UnknownVersion, DamagedArtifact."""
        request = request_of(adm.PromoteRequest, policy=policy, version=version, reason=reason, actor=actor)
        return _moved(call(self._stub.Promote, request, self._again()))

    def rollback(self, policy: str, *, reason: str, actor: str) -> Moved:
        """Return the champion to the version before. Raises Conflict when there is none."""
        request = request_of(adm.RollbackRequest, policy=policy, reason=reason, actor=actor)
        return _moved(call(self._stub.Rollback, request, self._once()))

    def start_canary(self, policy: str, version: str, *, reason: str, actor: str, share: float = 0.0) -> TrialReport:
        """Let a version answer a share of the users, 0 for the one that is set; their thumbs decide what becomes of it.

        Raises UnknownPolicy, UnknownVersion, DamagedArtifact; Conflict while another trial is running.
        """
        request = request_of(adm.StartCanaryRequest, policy=policy, version=version, reason=reason, actor=actor)
        request.share = real("share", share)
        return trial_report(call(self._stub.StartCanary, request, self._once()))

    def stop_trial(self, policy: str, *, reason: str, actor: str) -> TrialReport:
        """End the running trial: a canary is withdrawn, a watched champion stays. Raises Conflict if none is."""
        request = request_of(adm.StopTrialRequest, policy=policy, reason=reason, actor=actor)
        return trial_report(call(self._stub.StopTrial, request, self._once()))

    def trials(self, policy: str, limit: int = 20) -> tuple[TrialReport, ...]:
        """Return the trials of a policy, newest first. Raises UnknownPolicy."""
        request = request_of(adm.ListTrialsRequest, policy=policy, limit=limit)
        return tuple(trial_report(one) for one in call(self._stub.ListTrials, request, self._again()).trials)

    def set_shadow(self, policy: str, version: str, *, reason: str, actor: str) -> Moved:
        """Let a version answer what users ask, unseen; with an empty `version` none. Raises UnknownVersion."""
        request = request_of(adm.SetShadowRequest, policy=policy, version=version, reason=reason, actor=actor)
        return _moved(call(self._stub.SetShadow, request, self._again()))

    def history(self, policy: str = "", limit: int = 50) -> tuple[AuditEntry, ...]:
        """Return the audit trail of a policy, or of all, newest first."""
        request = request_of(adm.ListHistoryRequest, policy=policy, limit=limit)
        return tuple(_entry(one) for one in call(self._stub.ListHistory, request, self._again()).entries)

    def runs(self, policy: str = "", limit: int = 20) -> tuple[Run, ...]:
        """Return training runs, newest first, without their gates."""
        request = request_of(adm.ListRunsRequest, policy=policy, limit=limit)
        return tuple(_run(one) for one in call(self._stub.ListRuns, request, self._again()).runs)

    def run(self, run_id: str) -> Run:
        """Return a training run with its gates. Raises UnknownRun."""
        response = call(self._stub.DescribeRun, request_of(adm.DescribeRunRequest, run_id=run_id), self._again())
        return _run(response.summary, tuple(_gate(gate) for gate in response.gates), response.error)

    def start_run(self, policy: str, *, actor: str) -> str:
        """Start a training run now and return its id. Raises RunInProgress, UnknownPolicy, NotEnoughData.

        The last where all thumbs together are too few. Where only those that teach are, or it begins later, it soon
        ends as rejected; its summary says what is missing.
        """
        request = request_of(adm.StartRunRequest, policy=policy, actor=actor)
        return call(self._stub.StartRun, request, self._once()).run_id

    def erase_user(self, user_id: str, *, reason: str, actor: str) -> ErasureReport:
        """Remove a user's texts and votes for good, and return what was removed."""
        request = request_of(adm.EraseUserRequest, user_id=user_id, reason=reason, actor=actor)
        response = call(self._stub.EraseUser, request, self._once())
        return ErasureReport(
            response.responses_erased,
            response.feedback_erased,
            tuple(response.versions_trained_on_it),
            tuple(response.runs_ended),
        )

    def status(self) -> ServiceStatus:
        """Return where the loop stands."""
        response = call(self._stub.Status, adm.StatusRequest(), self._again())
        return ServiceStatus(
            service_version=response.service_version,
            started_us=response.started_unix_us,
            policies=tuple(_policy_status(one) for one in response.policies),
            log_backlog_events=response.log_backlog_events,
            dead_letters=response.dead_letters,
            orphan_votes=response.orphan_votes,
            home=response.home,
            log_problem=response.log_problem,
        )

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _again(self) -> Attempts:
        return Attempts(self._retry, Safety.IDEMPOTENT, self._timeout_s)

    def _once(self) -> Attempts:
        return Attempts(self._retry, Safety.ONCE, self._timeout_s)


def _version(one: adm.VersionSummary) -> VersionSummary:
    votes = one.votes
    return VersionSummary(
        policy=one.policy,
        version=one.version,
        parent=one.parent,
        digest=one.digest,
        run_id=one.run_id,
        created_us=one.created_unix_us,
        channels=tuple(one.channels),
        verdict=one.verdict,
        votes=VoteCounts(
            votes.responses,
            votes.thumbs_up,
            votes.thumbs_down,
            votes.ratings,
            votes.rating_mean,
            votes.rankings,
            votes.edits,
        ),
    )


def _moved(change: adm.ChannelChange) -> Moved:
    return Moved(change.policy, Channel(change.channel), change.previous_version, change.version)


def _entry(entry: adm.AuditEntry) -> AuditEntry:
    return AuditEntry(
        time_us=entry.time_unix_us,
        action=AuditAction.told(entry.action),
        actor=entry.actor,
        reason=entry.reason,
        policy=entry.policy,
        subject=entry.subject,
        channel=entry.channel,
        previous=entry.previous_version,
        version=entry.version,
        evidence_digest=entry.evidence_digest,
    )


def _run(one: adm.RunSummary, gates: tuple[GateResult, ...] = (), error: str = "") -> Run:
    return Run(
        run_id=one.run_id,
        policy=one.policy,
        state=RunState(one.state),
        step=RunStep(one.step),
        parent_version=one.parent_version,
        started_us=one.started_unix_us,
        ended_us=one.ended_unix_us,
        candidate_version=one.candidate_version,
        votes=one.votes,
        summary=one.summary,
        error=error or one.error,
        report_path=one.report_path,
        gates=gates,
    )


def _gate(gate: adm.Gate) -> GateResult:
    return GateResult(gate.name, gate.passed, gate.value, gate.threshold, gate.low, gate.high, gate.sentence)


def _policy_status(one: adm.PolicyStatus) -> PolicyStatus:
    return PolicyStatus(
        policy=one.policy,
        kind=PolicyKind(one.kind),
        champion=one.champion,
        canary=one.canary,
        new_votes=one.new_votes,
        votes_needed=one.votes_needed,
        schedule=one.schedule,
        next_run_us=one.next_run_unix_us,
        running_run_id=one.running_run_id,
        thumbs_up_rate=one.thumbs_up_rate,
        thumbs=one.thumbs,
        running_step=one.running_step,
        running_progress=one.running_progress,
        last_swap_version=one.last_swap_version,
        last_swap_duration_s=one.last_swap_duration_s,
        problem=one.problem,
        new_other_votes=one.new_other_votes,
        earlier_champion=one.earlier_champion,
        trial=trial_report(one.trial) if one.trial.version else None,
        shadow=one.shadow,
    )
