"""Training runs, their steps and their verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """Which part of a snapshot a row belongs to. Held-out users never occur in the training rows.

    Unrated rows are a sample of training users' answers that nobody voted on: they say who rates, not what is good.
    Older rows are training users' votes on versions from before those that the other rows are of: their judgements
    stand, but they are too far from the champion for a ratio.
    """

    TRAIN = "train"
    HELD_OUT = "held_out"
    UNRATED = "unrated"
    OLDER = "older"


class RunState(StrEnum):
    """Where a run stands. `queued`: asked for, and nobody has begun; from `promoted` on they are final.

    `canary`: its version passed, and is on trial among users.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PROMOTED = "promoted"
    CANARY = "canary"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will become of the run."""
        return self not in (RunState.QUEUED, RunState.RUNNING)


class RunStep(StrEnum):
    """The steps of a run, in order."""

    FREEZE = "freeze"
    FIT = "fit"
    IMPROVE = "improve"
    JUDGE = "judge"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate found. `low` and `high` bound `value` (NaN where the gate has no interval)."""

    name: str
    passed: bool
    value: float
    threshold: float
    low: float
    high: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gates' judgement of a candidate: promoted only if every gate passed."""

    promote: bool
    gates: tuple[GateResult, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Run:
    """One training run, as the store keeps it, with `report_path` from the home on; clients get the whole path."""

    run_id: str
    policy: str
    state: RunState
    step: RunStep
    parent_version: str
    started_us: int
    ended_us: int = 0
    candidate_version: str = ""
    watermark: int = 0
    votes: int = 0
    summary: str = ""
    error: str = ""
    report_path: str = ""
    gates: tuple[GateResult, ...] = ()
