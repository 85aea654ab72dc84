"""Trials of versions among users, as operators see them."""

from __future__ import annotations

from dataclasses import dataclass

from thumbwheel.admin.v1 import admin_pb2 as adm


@dataclass(frozen=True, slots=True)
class TrialReport:
    """A version held against another (`control`) by users' thumbs, one a user.

    `kind` is "canary", which answers a `share` of the users, or "watch", a new champion held against the one before.
    `state` is "running", or how it ended; `sentence` says how it stands, `evidence` is JSON, the numbers behind.
    """

    policy: str
    kind: str
    state: str
    version: str
    control: str
    share: float
    started_us: int
    ended_us: int
    up: int
    down: int
    control_up: int
    control_down: int
    sentence: str
    evidence: str


def trial_report(trial: adm.Trial) -> TrialReport:
    """Return a message as a record."""
    return TrialReport(
        policy=trial.policy,
        kind=trial.kind,
        state=trial.state,
        version=trial.version,
        control=trial.control,
        share=trial.share,
        started_us=trial.started_unix_us,
        ended_us=trial.ended_unix_us,
        up=trial.up,
        down=trial.down,
        control_up=trial.control_up,
        control_down=trial.control_down,
        sentence=trial.sentence,
        evidence=trial.evidence,
    )
