"""The domain's records: frozen, standard library only, the same in every part.

Times are integers, microseconds since the Unix epoch, UTC (`..._us`). Log-probabilities are in nats.
"""

from __future__ import annotations

from thumbwheel.records.access import (
    ApiKey,
    Scope,
)
from thumbwheel.records.answers import (
    ROLES,
    Answer,
    ClassifyAnswer,
    GenerateAnswer,
    LoggedResponse,
    Message,
    TagAnswer,
)
from thumbwheel.records.feedback import (
    ANONYMOUS_RATER,
    Edit,
    Feedback,
    FeedbackKind,
    RatedResponse,
    Retraction,
    VoteCounts,
    is_anonymous,
)
from thumbwheel.records.keeping import (
    DeadLetter,
    ErasureReport,
    Forgotten,
    WrappedKey,
)
from thumbwheel.records.runs import (
    GateResult,
    Run,
    RunState,
    RunStep,
    Split,
    Verdict,
)
from thumbwheel.records.versions import (
    AuditAction,
    AuditEntry,
    Channel,
    ChannelChange,
    Manifest,
    PolicyKind,
    VersionRef,
)

__all__ = [
    "ANONYMOUS_RATER",
    "Answer",
    "ApiKey",
    "AuditAction",
    "AuditEntry",
    "Channel",
    "ChannelChange",
    "ClassifyAnswer",
    "DeadLetter",
    "Edit",
    "ErasureReport",
    "Feedback",
    "FeedbackKind",
    "Forgotten",
    "GateResult",
    "GenerateAnswer",
    "LoggedResponse",
    "Manifest",
    "Message",
    "PolicyKind",
    "ROLES",
    "RatedResponse",
    "Retraction",
    "Run",
    "RunState",
    "RunStep",
    "Scope",
    "Split",
    "TagAnswer",
    "Verdict",
    "VersionRef",
    "VoteCounts",
    "WrappedKey",
    "is_anonymous",
]
