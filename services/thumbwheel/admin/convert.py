"""Records of the domain as messages of the admin contract."""

from __future__ import annotations

from collections.abc import Mapping

from thumbwheel.admin.ports import Schedule, Swap
from thumbwheel.admin.v1 import admin_pb2 as pb
from thumbwheel.records import (
    AuditAction,
    AuditEntry,
    Channel,
    ChannelChange,
    GateResult,
    Manifest,
    PolicyKind,
    Run,
    VoteCounts,
)
from thumbwheel.registry import manifest as manifests
from thumbwheel.registry.trial import PPM, Trial


def version_summary(manifest: Manifest, channels: Mapping[Channel, str], votes: VoteCounts) -> pb.VersionSummary:
    """Return a version, the channels that point at it, and its votes."""
    return pb.VersionSummary(
        policy=manifest.policy,
        version=manifest.version,
        parent=manifest.parent,
        digest=manifest.digest,
        run_id=manifest.run_id,
        created_unix_us=manifest.created_us,
        channels=[channel.value for channel, version in channels.items() if version == manifest.version],
        verdict=manifest.verdict,
        votes=vote_counts(votes),
    )


def version_description(summary: pb.VersionSummary, manifest: Manifest) -> pb.DescribeVersionResponse:
    """Return a version with its manifest."""
    return pb.DescribeVersionResponse(summary=summary, manifest_json=manifests.to_json(manifest))


def vote_counts(votes: VoteCounts) -> pb.VoteCounts:
    """Return votes."""
    return pb.VoteCounts(
        responses=votes.responses,
        thumbs_up=votes.thumbs_up,
        thumbs_down=votes.thumbs_down,
        ratings=votes.ratings,
        rating_mean=votes.rating_mean,
        rankings=votes.rankings,
        edits=votes.edits,
    )


def channel_change(change: ChannelChange) -> pb.ChannelChange:
    """Return a pointer that moved."""
    return pb.ChannelChange(
        policy=change.policy,
        channel=change.channel.value,
        previous_version=change.previous,
        version=change.version,
    )


def moved(change: ChannelChange) -> AuditEntry:
    """Return a pointer's move as a row of the audit trail."""
    return AuditEntry(
        time_us=change.time_us,
        action=AuditAction.CHANNEL_MOVED,
        actor=change.actor,
        reason=change.reason,
        policy=change.policy,
        channel=change.channel.value,
        previous=change.previous,
        version=change.version,
        evidence_digest=change.evidence_digest,
    )


def audit_entry(entry: AuditEntry) -> pb.AuditEntry:
    """Return a row of the audit trail."""
    return pb.AuditEntry(
        time_unix_us=entry.time_us,
        policy=entry.policy,
        channel=entry.channel,
        previous_version=entry.previous,
        version=entry.version,
        actor=entry.actor,
        reason=entry.reason,
        evidence_digest=entry.evidence_digest,
        action=str(entry.action),
        subject=entry.subject,
    )


def run_summary(run: Run, report: str) -> pb.RunSummary:
    """Return a run, whose report is at `report`."""
    return pb.RunSummary(
        run_id=run.run_id,
        policy=run.policy,
        state=run.state.value,
        step=run.step.value,
        parent_version=run.parent_version,
        candidate_version=run.candidate_version,
        started_unix_us=run.started_us,
        ended_unix_us=run.ended_us,
        summary=run.summary,
        votes=run.votes,
        report_path=report,
        error=run.error,
    )


def run_description(run: Run, report: str) -> pb.DescribeRunResponse:
    """Return a run with its gates."""
    gates = [gate(one) for one in run.gates]
    return pb.DescribeRunResponse(summary=run_summary(run, report), gates=gates, error=run.error)


def gate(result: GateResult) -> pb.Gate:
    """Return what a gate found; numbers that do not exist are NaN on both sides."""
    return pb.Gate(
        name=result.name,
        passed=result.passed,
        value=result.value,
        threshold=result.threshold,
        low=result.low,
        high=result.high,
        sentence=result.sentence,
    )


def trial(one: Trial) -> pb.Trial:
    """Return a trial."""
    return pb.Trial(
        policy=one.policy,
        kind=one.kind.value,
        state=one.state.value,
        version=one.version,
        control=one.control,
        share=one.split.share_ppm / PPM,
        started_unix_us=one.started_us,
        ended_unix_us=one.ended_us,
        up=one.voices.up,
        down=one.voices.down,
        control_up=one.control_voices.up,
        control_down=one.control_voices.down,
        sentence=one.sentence,
        evidence=one.evidence,
    )


def policy_status(
    policy: str,
    kind: PolicyKind,
    channels: Mapping[Channel, str],
    votes: VoteCounts,
    schedule: Schedule,
    swap: Swap,
    problem: str,
) -> pb.PolicyStatus:
    """Return where the loop of a policy stands; `votes` are those of its champion, `problem` why it is not served."""
    return pb.PolicyStatus(
        policy=policy,
        kind=kind.value,
        champion=channels.get(Channel.CHAMPION, ""),
        canary=channels.get(Channel.CANARY, ""),
        shadow=channels.get(Channel.SHADOW, ""),
        new_votes=schedule.new_votes,
        votes_needed=schedule.votes_needed,
        schedule=schedule.cron,
        next_run_unix_us=schedule.next_run_us,
        running_run_id=schedule.running_run_id,
        thumbs_up_rate=votes.thumbs_up_rate,
        thumbs=votes.thumbs_up + votes.thumbs_down,
        running_step=schedule.running_step,
        running_progress=schedule.running_progress,
        last_swap_version=swap.version,
        last_swap_duration_s=swap.duration_s,
        problem=problem,
        new_other_votes=schedule.new_other_votes,
    )
