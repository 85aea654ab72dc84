"""The domain's records: frozen, standard library only, the same in every part.

Times are integers, microseconds since the Unix epoch, UTC (`..._us`). Log-probabilities are in nats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# How the pseudonym of a rater without a user id begins; it tells nothing else. One with a user id begins with `u`.
ANONYMOUS_RATER: Final = "a"


def is_anonymous(rater: str) -> bool:
    """Whether a rater's pseudonym stands for whoever holds an answer's token, and not for a user."""
    return rater.startswith(ANONYMOUS_RATER)


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


class FeedbackKind(StrEnum):
    """The forms a vote takes. The current vote is one for each (response, rater, kind)."""

    THUMB = "thumb"
    RATING = "rating"
    RANKING = "ranking"
    EDIT = "edit"


class Split(StrEnum):
    """Which part of a snapshot a row belongs to. Held-out users never occur in the training rows.

    Unrated rows are a sample of training users' answers that nobody voted on: they say who rates, not what is good.
    """

    TRAIN = "train"
    HELD_OUT = "held_out"
    UNRATED = "unrated"


ROLES: Final = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, `role` one of `ROLES`. A bare prompt is a single message of role `""`."""

    role: str
    content: str


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
    USER_ERASED = "user erased"
    PAST_FORGOTTEN = "past forgotten"
    GATES_CHANGED = "gates changed"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the audit trail: who did what, when and why.

    `policy` is empty where all are concerned. A moved channel has the last four fields; everything else a `subject`:
    the run that was queued or started, or how much was erased (never whose).
    """

    time_us: int
    action: AuditAction
    actor: str
    reason: str
    policy: str = ""
    subject: str = ""
    channel: str = ""
    previous: str = ""
    version: str = ""
    evidence_digest: str = ""


@dataclass(frozen=True, slots=True)
class GenerateAnswer:
    """A logged text answer: what was asked, what was sampled, and how likely each token was."""

    messages: tuple[Message, ...]
    text: str
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    finish_reason: str
    candidate: int
    candidates: int


@dataclass(frozen=True, slots=True)
class ClassifyAnswer:
    """A logged label: the text, the label served, and the probability of every label as served."""

    text: str
    label_index: int
    label: str
    probabilities: tuple[float, ...]
    probability_floor: float
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TagAnswer:
    """Logged tags: the text, its words, the tag served for each, and the probability of every tag of every word.

    `starts` and `ends` are code points of each of `tokens` in `text`. `tag_indices` index `labels`; `probabilities`
    are as served, row by row, tokens x labels.
    """

    text: str
    tokens: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    tag_indices: tuple[int, ...]
    probabilities: tuple[float, ...]
    probability_floor: float
    labels: tuple[str, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """The served tag of each token."""
        return tuple(self.labels[index] for index in self.tag_indices)

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """Each token's probabilities, in the order of `labels`."""
        width = len(self.labels)
        return tuple(self.probabilities[at * width : (at + 1) * width] for at in range(len(self.tokens)))


Answer = GenerateAnswer | ClassifyAnswer | TagAnswer
"""What a policy of any kind has said."""


@dataclass(frozen=True, slots=True)
class LoggedResponse:
    """An answer as the store keeps it.

    `not_learnable` is empty, or says why the policy must not learn from it as from a draw of its own: no importance
    ratio, not held likely. A reward model may still read how it was rated.
    """

    response_id: str
    request_id: str
    ref: VersionRef
    channel: Channel
    tenant: str
    user_hash: str
    client_request_id: str
    time_us: int
    not_learnable: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Edit:
    """A correction by the user; the field that fits the policy's kind is set."""

    text: str = ""
    label: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """One piece of feedback as received. Exactly the field that belongs to `kind` is set.

    `sequence` is the store's ingest order (0 before it is stored).
    """

    feedback_id: str
    response_id: str
    rater: str
    tenant: str
    policy: str
    policy_version: str
    kind: FeedbackKind
    time_us: int
    thumb_up: bool | None = None
    rating: int | None = None
    ranking: tuple[str, ...] = ()
    edit: Edit | None = None
    comment: str = ""
    reasons: tuple[str, ...] = ()
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Retraction:
    """A vote taken back."""

    feedback_id: str
    response_id: str
    rater: str
    tenant: str
    kind: FeedbackKind
    time_us: int


@dataclass(frozen=True, slots=True)
class RatedResponse:
    """An answer with its current votes: what learning reads."""

    response: LoggedResponse
    votes: tuple[Feedback, ...]


@dataclass(frozen=True, slots=True)
class VoteCounts:
    """Live feedback on one version."""

    responses: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    ratings: int = 0
    rating_mean: float = 0.0
    rankings: int = 0
    edits: int = 0

    @property
    def thumbs_up_rate(self) -> float:
        """Share of thumbs that are up, in [0, 1]; NaN when there are none."""
        thumbs = self.thumbs_up + self.thumbs_down
        return self.thumbs_up / thumbs if thumbs else float("nan")


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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the log that could not be used, kept with its place and its bytes.

    `number` is the store's, in order of arrival (0 before it is stored).
    """

    topic: str
    partition: int
    offset: int
    reason: str
    payload: bytes
    time_us: int
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key that events of a user are sealed with, itself encrypted under the service's secret."""

    key_id: str
    user_hash: str
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What retention removed. Answers of `horizon_us` and later are there; older ones will not come back, either.

    `slices` were dropped whole, nobody counted their rows; `rows` were removed one by one.
    """

    horizon_us: int
    slices: int
    rows: int


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was removed of a user, which versions had learned from it, and which runs under way end with it."""

    responses: int
    feedback: int
    versions_trained_on_it: Sequence[str]
    runs_ended: Sequence[str] = ()

    def __str__(self) -> str:
        """Return it in words, which don't say whose it was."""
        counts = ((self.responses, "answer"), (self.feedback, "vote"))
        gone = ", ".join(f"{count:,} {noun}{'s' if count != 1 else ''}" for count, noun in counts)
        return f"{gone}; versions that learned from them: {', '.join(self.versions_trained_on_it) or 'none'}"
