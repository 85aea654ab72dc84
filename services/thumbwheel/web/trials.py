"""A policy's latest trial as the operator's page shows it: both versions, how far they are apart, and what follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thumbwheel.client.admin import PolicyStatus
from thumbwheel.client.trials import TrialReport
from thumbwheel.records import AuditEntry, Channel
from thumbwheel.web.rates import Rate, thumbs_up_rate

_RUNNING = "running"
_CANARY = "canary"
_PARTS = {_CANARY: ("canary", "champion"), "watch": ("new champion", "champion before")}


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the two versions: what it is in the trial, and the thumbs on it, one a user; None before the first."""

    version: str
    part: str
    rate: Rate | None


@dataclass(frozen=True, slots=True)
class ShownTrial:
    """A trial with the numbers behind it; `finding` is its sentence without the shares that `arms` shows.

    `evidence` is what the watcher wrote at its last look: empty before the first one.
    """

    report: TrialReport
    arms: tuple[Arm, Arm]
    finding: str
    evidence: Mapping[str, Any]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.report.state == _RUNNING

    @property
    def is_canary(self) -> bool:
        """Whether its version answers a share of the users; otherwise it is a champion that is watched."""
        return self.report.kind == _CANARY


def shown_trial(status: PolicyStatus | None, history: Sequence[AuditEntry]) -> ShownTrial | None:
    """Return the latest trial, unless the champion has moved since it ended: then it says nothing of what is served."""
    trial = status.trial if status else None
    if trial is None:
        return None
    moved_us = max((entry.time_us for entry in history if entry.channel == Channel.CHAMPION), default=0)
    if trial.state != _RUNNING and trial.ended_us < moved_us:
        return None
    evidence: Mapping[str, Any] = json.loads(trial.evidence) if trial.evidence else {}
    parts = _PARTS.get(trial.kind, ("on trial", "held against"))
    arms = (
        Arm(trial.version, parts[0], thumbs_up_rate(trial.up, trial.down)),
        Arm(trial.control, parts[1], thumbs_up_rate(trial.control_up, trial.control_down)),
    )
    return ShownTrial(trial, arms, trial.sentence.removesuffix(evidence.get("compared", "")).strip(), evidence)
