"""What the demo service says of versions, runs and channels before anybody did anything."""

from __future__ import annotations

import json
import math
import time

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.feedback.keys import Keys, TokenKey

TOPICS, HELPDESK, PLACES = "topics", "helpdesk", "places"
LABELS = ("delivery", "refund", "account", "other")
TAGS = ("O", "B-city", "I-city")
KEYS = Keys((TokenKey("9f3c11ab", b"t" * 32, 0),), b"u" * 32)


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


def versions_of(policy: str) -> list[adm.VersionSummary]:
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


def run_of(run_id: str, state: str, candidate: str) -> adm.DescribeRunResponse:
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


def trial_of(policy: str, kind: str, version: str, control: str) -> adm.Trial:
    """A running trial: 15 of 55 users like the version, 44 of 81 what it is held against."""
    beside = f"Thumbs up: 27.3% of 55 users on {version}, 54.3% of 81 on {control}; difference -27.0 points."
    evidence = {
        "difference": {"value": -0.2704, "low": -0.559, "high": 0.066},
        "compared": beside,
        "log_e": {"worse": math.log(7.5), "good": math.log(0.02), "split": math.log(0.4), "least": math.log(20)},
        "margin": 0.05,
        "confidence": 0.95,
        "min_voices": 20,
        "enough_voices": 1000,
        "ends_us": now_us() + 70 * 3_600_000_000,
        "rails": [{"name": "failures", "broken": False, "sentence": "0.0% of requests failed, 0.1% before"}],
    }
    return adm.Trial(
        policy=policy,
        kind=kind,
        state="running",
        version=version,
        control=control,
        share=0.1 if kind == "canary" else 0.0,
        started_unix_us=now_us() - 7_200_000_000,
        up=15,
        down=40,
        control_up=44,
        control_down=37,
        sentence=f"Undecided. {beside}",
        evidence=json.dumps(evidence),
    )


def audit_entry(policy: str, old: str, new: str, actor: str, reason: str, time_us: int) -> adm.AuditEntry:
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


def first_status() -> adm.StatusResponse:
    return adm.StatusResponse(
        service_version="0.1.0",
        started_unix_us=now_us(),
        policies=[
            adm.PolicyStatus(policy=HELPDESK, kind="generate", champion="v2", new_votes=312, votes_needed=1000),
            adm.PolicyStatus(policy=TOPICS, kind="classify", champion="v2", new_votes=7),
        ],
    )
