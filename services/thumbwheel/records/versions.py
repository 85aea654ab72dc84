"""What is served: policies, their versions, who moved which channel, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class PolicyKind(StrEnum):
    """What a policy does."""

    GENERATE = "generate"
    CLASSIFY = "classify"
    TAG = "tag"


class Channel(StrEnum):
    """A role a version can have in serving."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version of a policy as stamped on every answer."""

    policy: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` in a version's folder says of it.

    `files` maps each relative file name to its SHA-256 (hex); `digest` is `sha256:` + the SHA-256 of the
    sorted `name sha256` lines.
    """

    policy: str
    version: str
    kind: PolicyKind
    parent: str
    base: str
    digest: str
    files: Mapping[str, str]
    created_us: int
    run_id: str = ""
    watermark: int = 0
    verdict: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """A channel's pointer moved; with `previous` equal to `version` it pointed there already and nothing was done."""

    policy: str
    channel: Channel
    previous: str
    version: str
    actor: str
    reason: str
    evidence_digest: str
    time_us: int


class AuditAction(StrEnum):
    """What the audit trail tells of."""

    CHANNEL_MOVED = "channel moved"
    RUN_QUEUED = "run queued"
    RUN_STARTED = "run started"
    RUN_ENDED = "run ended"
    USER_ERASED = "user erased"
    PAST_FORGOTTEN = "past forgotten"
    GATES_CHANGED = "gates changed"
    KEY_CREATED = "API key created"
    KEY_REVOKED = "API key revoked"

    @classmethod
    def told(cls, text: str) -> AuditAction | str:
        """The action of a row; where a newer release wrote it, maybe none that is known here, its own words."""
        try:
            return cls(text)
        except ValueError:
            return text


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the audit trail: who did what, when and why.

    `policy` is empty where all are concerned. A moved channel has the last four fields; everything else a `subject`:
    the run that was queued, started, or ended without a version, how much was erased (never whose), or which API key it
    was.
    """

    time_us: int
    action: AuditAction | str
    actor: str
    reason: str
    policy: str = ""
    subject: str = ""
    channel: str = ""
    previous: str = ""
    version: str = ""
    evidence_digest: str = ""
