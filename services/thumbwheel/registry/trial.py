"""Trials: a version among users, held against another by their thumbs.

A canary answers a share of the users beside the champion. A watch looks after a new champion, which answers everybody,
and holds it against the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

PPM: Final = 1_000_000


class TrialKind(StrEnum):
    """How a version is tried."""

    CANARY = "canary"
    WATCH = "watch"


class TrialState(StrEnum):
    """Where a trial stands. All but `running` are final.

    `promoted` and `rolled back` are the trial's own decisions, `kept` is a watch that found nothing; `given up` is a
    canary that stayed undecided; `stopped` and `overtaken` are people's decisions, or a later promotion's.
    """

    RUNNING = "running"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    KEPT = "kept"
    GIVEN_UP = "given up"
    STOPPED = "stopped"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class Split:
    """Which users a canary answers: `share_ppm` of a million, drawn by `salt`, the same ones all the time."""

    trial_id: int
    salt: str
    share_ppm: int

    def is_drawn(self, user_hash: str) -> bool:
        """Whether the user of a pseudonym is among them; nobody without one is.

        SHA-256 of salt and pseudonym, its first 64 bits as a fraction of 2**64: uniform, and another draw each salt.
        """
        if not user_hash:
            return False
        draw = hashlib.sha256(f"{self.salt} {user_hash}".encode()).digest()
        return int.from_bytes(draw[:8], "big") * PPM < self.share_ppm << 64


@dataclass(frozen=True, slots=True)
class Voices:
    """Users' thumbs on a version, one a user."""

    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        """How many users were heard."""
        return self.up + self.down

    @property
    def rate(self) -> float:
        """Share of thumbs up, in [0, 1]; NaN when nobody was heard."""
        return self.up / self.total if self.total else float("nan")


@dataclass(frozen=True, slots=True)
class NewTrial:
    """What is said of a trial at its start. `share` is the share of users a canary answers, in (0, 0.5]."""

    kind: TrialKind
    version: str
    control: str
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as it is kept: `version` is tried, `control` is what it is held against.

    Thumbs are counted up to the feedback sequence `cursor`; those after `start_seq` came since it started. `revision`
    grows with every write. `sentence` says how it stands, or how it ended; `evidence` is JSON, the numbers behind.
    """

    trial_id: int
    policy: str
    kind: TrialKind
    state: TrialState
    version: str
    control: str
    split: Split
    started_us: int
    ended_us: int
    start_seq: int
    cursor: int
    revision: int
    voices: Voices
    control_voices: Voices
    sentence: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A user's thumb on a version."""

    version: str
    rater: str
    up: bool


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a trial ends: its state, in words, and the numbers behind, as JSON, whose digest goes into the audit row."""

    state: TrialState
    sentence: str
    evidence: str

    @property
    def digest(self) -> str:
        """SHA-256 of the evidence."""
        return "sha256:" + hashlib.sha256(self.evidence.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Served:
    """How requests to a version went in all processes that serve: `latencies` counts them by bucket."""

    requests: int = 0
    failures: int = 0
    latencies: tuple[int, ...] = ()


class Trials(Protocol):
    """Trials of all policies. Those who watch them may be several: each write names the revision it was made from."""

    def promote_watched(self, policy: str, watch: NewTrial, *, actor: str, reason: str, evidence_digest: str) -> Trial:
        """Make `watch.version` the champion and begin to watch it, in one transaction.

        Raises:
            Conflict: the champion is not `watch.control`.
            UnknownPolicy, UnknownVersion, DamagedArtifact, Unavailable.
        """

    def start_canary(
        self, policy: str, canary: NewTrial, *, actor: str, reason: str, evidence_digest: str = ""
    ) -> Trial:
        """Point the canary channel at `canary.version` and begin its trial, in one transaction.

        Raises:
            Conflict: a trial of the policy is running, the champion is not `canary.control`, or is the version itself.
            UnknownPolicy, UnknownVersion, DamagedArtifact, Unavailable.
        """

    def stop(self, policy: str, *, actor: str, reason: str) -> Trial:
        """End the running trial of a policy: a canary is withdrawn, a watched champion stays.

        Raises:
            Conflict: none is running.
        """

    def running(self, policy: str = "") -> list[Trial]:
        """Return the running trials of a policy (empty: of all)."""

    def newest(self, policy: str, limit: int = 1) -> list[Trial]:
        """Return the latest trials of a policy, newest first."""

    def hear(self, trial: Trial, heard: Sequence[Heard], cursor: int, sentence: str = "") -> Trial:
        """Count the first thumb of each user on each version, and go on to `cursor`; return the trial as it is then.

        Raises:
            Fenced: somebody else has written to it, or it has ended.
        """

    def say(self, trial: Trial, sentence: str, evidence: str) -> Trial:
        """Keep how a trial stands. Raises Fenced as `hear` does."""

    def conclude(self, trial: Trial, conclusion: Conclusion, *, actor: str) -> Trial:
        """End a trial and move the channels that follow from it, in one transaction with the audit rows.

        A canary is promoted or withdrawn; a watched champion is rolled back or stays.

        Raises:
            Fenced: somebody else has written to it, or it has ended; nothing was moved.
            DamagedArtifact, Unavailable: the version that is to be the champion can not be had; nothing was moved.
        """

    def tally(self, trial_id: int, version: str, process: str, served: Served) -> None:
        """Keep how requests to a version have gone in a process since the trial began; of an ended one, nothing."""

    def served(self, trial_id: int, version: str) -> Served:
        """Return how requests to a version have gone since the trial began, in all processes."""
