from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[PolicySummary]
    def __init__(self, policies: _Optional[_Iterable[_Union[PolicySummary, _Mapping]]] = ...) -> None: ...

class PolicySummary(_message.Message):
    __slots__ = ("policy", "kind", "champion", "canary", "versions")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    kind: str
    champion: str
    canary: str
    versions: int
    def __init__(self, policy: _Optional[str] = ..., kind: _Optional[str] = ..., champion: _Optional[str] = ..., canary: _Optional[str] = ..., versions: _Optional[int] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: str
    def __init__(self, policy: _Optional[str] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionSummary]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionSummary, _Mapping]]] = ...) -> None: ...

class VersionSummary(_message.Message):
    __slots__ = ("policy", "version", "parent", "digest", "run_id", "created_unix_us", "channels", "verdict", "votes")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    parent: str
    digest: str
    run_id: str
    created_unix_us: int
    channels: _containers.RepeatedScalarFieldContainer[str]
    verdict: str
    votes: VoteCounts
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., parent: _Optional[str] = ..., digest: _Optional[str] = ..., run_id: _Optional[str] = ..., created_unix_us: _Optional[int] = ..., channels: _Optional[_Iterable[str]] = ..., verdict: _Optional[str] = ..., votes: _Optional[_Union[VoteCounts, _Mapping]] = ...) -> None: ...

class VoteCounts(_message.Message):
    __slots__ = ("responses", "thumbs_up", "thumbs_down", "ratings", "rating_mean", "rankings", "edits")
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    THUMBS_UP_FIELD_NUMBER: _ClassVar[int]
    THUMBS_DOWN_FIELD_NUMBER: _ClassVar[int]
    RATINGS_FIELD_NUMBER: _ClassVar[int]
    RATING_MEAN_FIELD_NUMBER: _ClassVar[int]
    RANKINGS_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    responses: int
    thumbs_up: int
    thumbs_down: int
    ratings: int
    rating_mean: float
    rankings: int
    edits: int
    def __init__(self, responses: _Optional[int] = ..., thumbs_up: _Optional[int] = ..., thumbs_down: _Optional[int] = ..., ratings: _Optional[int] = ..., rating_mean: _Optional[float] = ..., rankings: _Optional[int] = ..., edits: _Optional[int] = ...) -> None: ...

class DescribeVersionRequest(_message.Message):
    __slots__ = ("policy", "version")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class DescribeVersionResponse(_message.Message):
    __slots__ = ("summary", "manifest_json")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_JSON_FIELD_NUMBER: _ClassVar[int]
    summary: VersionSummary
    manifest_json: str
    def __init__(self, summary: _Optional[_Union[VersionSummary, _Mapping]] = ..., manifest_json: _Optional[str] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("policy", "version", "reason", "actor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    reason: str
    actor: str
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("policy", "reason", "actor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    reason: str
    actor: str
    def __init__(self, policy: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ChannelChange(_message.Message):
    __slots__ = ("policy", "channel", "previous_version", "version")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    policy: str
    channel: str
    previous_version: str
    version: str
    def __init__(self, policy: _Optional[str] = ..., channel: _Optional[str] = ..., previous_version: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class StartCanaryRequest(_message.Message):
    __slots__ = ("policy", "version", "share", "reason", "actor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    share: float
    reason: str
    actor: str
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., share: _Optional[float] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class StopTrialRequest(_message.Message):
    __slots__ = ("policy", "reason", "actor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    reason: str
    actor: str
    def __init__(self, policy: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ListTrialsRequest(_message.Message):
    __slots__ = ("policy", "limit")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    policy: str
    limit: int
    def __init__(self, policy: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListTrialsResponse(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    def __init__(self, trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("policy", "kind", "state", "version", "control", "share", "started_unix_us", "ended_unix_us", "up", "down", "control_up", "control_down", "sentence", "evidence")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    DOWN_FIELD_NUMBER: _ClassVar[int]
    CONTROL_UP_FIELD_NUMBER: _ClassVar[int]
    CONTROL_DOWN_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    policy: str
    kind: str
    state: str
    version: str
    control: str
    share: float
    started_unix_us: int
    ended_unix_us: int
    up: int
    down: int
    control_up: int
    control_down: int
    sentence: str
    evidence: str
    def __init__(self, policy: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., version: _Optional[str] = ..., control: _Optional[str] = ..., share: _Optional[float] = ..., started_unix_us: _Optional[int] = ..., ended_unix_us: _Optional[int] = ..., up: _Optional[int] = ..., down: _Optional[int] = ..., control_up: _Optional[int] = ..., control_down: _Optional[int] = ..., sentence: _Optional[str] = ..., evidence: _Optional[str] = ...) -> None: ...

class SetShadowRequest(_message.Message):
    __slots__ = ("policy", "version", "reason", "actor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    reason: str
    actor: str
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ListHistoryRequest(_message.Message):
    __slots__ = ("policy", "limit")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    policy: str
    limit: int
    def __init__(self, policy: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListHistoryResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("time_unix_us", "policy", "channel", "previous_version", "version", "actor", "reason", "evidence_digest", "action", "subject")
    TIME_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    time_unix_us: int
    policy: str
    channel: str
    previous_version: str
    version: str
    actor: str
    reason: str
    evidence_digest: str
    action: str
    subject: str
    def __init__(self, time_unix_us: _Optional[int] = ..., policy: _Optional[str] = ..., channel: _Optional[str] = ..., previous_version: _Optional[str] = ..., version: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., evidence_digest: _Optional[str] = ..., action: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("policy", "limit")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    policy: str
    limit: int
    def __init__(self, policy: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunSummary]
    def __init__(self, runs: _Optional[_Iterable[_Union[RunSummary, _Mapping]]] = ...) -> None: ...

class RunSummary(_message.Message):
    __slots__ = ("run_id", "policy", "state", "step", "parent_version", "candidate_version", "started_unix_us", "ended_unix_us", "summary", "votes", "report_path", "error")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PARENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    REPORT_PATH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    policy: str
    state: str
    step: str
    parent_version: str
    candidate_version: str
    started_unix_us: int
    ended_unix_us: int
    summary: str
    votes: int
    report_path: str
    error: str
    def __init__(self, run_id: _Optional[str] = ..., policy: _Optional[str] = ..., state: _Optional[str] = ..., step: _Optional[str] = ..., parent_version: _Optional[str] = ..., candidate_version: _Optional[str] = ..., started_unix_us: _Optional[int] = ..., ended_unix_us: _Optional[int] = ..., summary: _Optional[str] = ..., votes: _Optional[int] = ..., report_path: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class DescribeRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class DescribeRunResponse(_message.Message):
    __slots__ = ("summary", "gates", "error")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    GATES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    summary: RunSummary
    gates: _containers.RepeatedCompositeFieldContainer[Gate]
    error: str
    def __init__(self, summary: _Optional[_Union[RunSummary, _Mapping]] = ..., gates: _Optional[_Iterable[_Union[Gate, _Mapping]]] = ..., error: _Optional[str] = ...) -> None: ...

class Gate(_message.Message):
    __slots__ = ("name", "passed", "value", "threshold", "low", "high", "sentence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    passed: bool
    value: float
    threshold: float
    low: float
    high: float
    sentence: str
    def __init__(self, name: _Optional[str] = ..., passed: _Optional[bool] = ..., value: _Optional[float] = ..., threshold: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., sentence: _Optional[str] = ...) -> None: ...

class StartRunRequest(_message.Message):
    __slots__ = ("policy", "actor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    actor: str
    def __init__(self, policy: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class StartRunResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class EraseUserRequest(_message.Message):
    __slots__ = ("user_id", "reason", "actor")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    reason: str
    actor: str
    def __init__(self, user_id: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class EraseUserResponse(_message.Message):
    __slots__ = ("responses_erased", "feedback_erased", "versions_trained_on_it", "runs_ended")
    RESPONSES_ERASED_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_ERASED_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_TRAINED_ON_IT_FIELD_NUMBER: _ClassVar[int]
    RUNS_ENDED_FIELD_NUMBER: _ClassVar[int]
    responses_erased: int
    feedback_erased: int
    versions_trained_on_it: _containers.RepeatedScalarFieldContainer[str]
    runs_ended: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, responses_erased: _Optional[int] = ..., feedback_erased: _Optional[int] = ..., versions_trained_on_it: _Optional[_Iterable[str]] = ..., runs_ended: _Optional[_Iterable[str]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("service_version", "started_unix_us", "policies", "log_backlog_events", "dead_letters", "orphan_votes", "home", "log_problem")
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    LOG_BACKLOG_EVENTS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    ORPHAN_VOTES_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    service_version: str
    started_unix_us: int
    policies: _containers.RepeatedCompositeFieldContainer[PolicyStatus]
    log_backlog_events: int
    dead_letters: int
    orphan_votes: int
    home: str
    log_problem: str
    def __init__(self, service_version: _Optional[str] = ..., started_unix_us: _Optional[int] = ..., policies: _Optional[_Iterable[_Union[PolicyStatus, _Mapping]]] = ..., log_backlog_events: _Optional[int] = ..., dead_letters: _Optional[int] = ..., orphan_votes: _Optional[int] = ..., home: _Optional[str] = ..., log_problem: _Optional[str] = ...) -> None: ...

class PolicyStatus(_message.Message):
    __slots__ = ("policy", "kind", "champion", "canary", "new_votes", "votes_needed", "schedule", "next_run_unix_us", "running_run_id", "thumbs_up_rate", "thumbs", "running_step", "running_progress", "last_swap_version", "last_swap_duration_s", "problem", "new_other_votes", "earlier_champion", "trial", "shadow")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    NEW_VOTES_FIELD_NUMBER: _ClassVar[int]
    VOTES_NEEDED_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    RUNNING_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    THUMBS_UP_RATE_FIELD_NUMBER: _ClassVar[int]
    THUMBS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_STEP_FIELD_NUMBER: _ClassVar[int]
    RUNNING_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LAST_SWAP_VERSION_FIELD_NUMBER: _ClassVar[int]
    LAST_SWAP_DURATION_S_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    NEW_OTHER_VOTES_FIELD_NUMBER: _ClassVar[int]
    EARLIER_CHAMPION_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    policy: str
    kind: str
    champion: str
    canary: str
    new_votes: int
    votes_needed: int
    schedule: str
    next_run_unix_us: int
    running_run_id: str
    thumbs_up_rate: float
    thumbs: int
    running_step: str
    running_progress: float
    last_swap_version: str
    last_swap_duration_s: float
    problem: str
    new_other_votes: int
    earlier_champion: str
    trial: Trial
    shadow: str
    def __init__(self, policy: _Optional[str] = ..., kind: _Optional[str] = ..., champion: _Optional[str] = ..., canary: _Optional[str] = ..., new_votes: _Optional[int] = ..., votes_needed: _Optional[int] = ..., schedule: _Optional[str] = ..., next_run_unix_us: _Optional[int] = ..., running_run_id: _Optional[str] = ..., thumbs_up_rate: _Optional[float] = ..., thumbs: _Optional[int] = ..., running_step: _Optional[str] = ..., running_progress: _Optional[float] = ..., last_swap_version: _Optional[str] = ..., last_swap_duration_s: _Optional[float] = ..., problem: _Optional[str] = ..., new_other_votes: _Optional[int] = ..., earlier_champion: _Optional[str] = ..., trial: _Optional[_Union[Trial, _Mapping]] = ..., shadow: _Optional[str] = ...) -> None: ...
