from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("event_id", "time_unix_us", "trace_parent", "inference_logged", "feedback_received", "feedback_retracted")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    TRACE_PARENT_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_LOGGED_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_RETRACTED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_us: int
    trace_parent: str
    inference_logged: InferenceLogged
    feedback_received: FeedbackReceived
    feedback_retracted: FeedbackRetracted
    def __init__(self, event_id: _Optional[str] = ..., time_unix_us: _Optional[int] = ..., trace_parent: _Optional[str] = ..., inference_logged: _Optional[_Union[InferenceLogged, _Mapping]] = ..., feedback_received: _Optional[_Union[FeedbackReceived, _Mapping]] = ..., feedback_retracted: _Optional[_Union[FeedbackRetracted, _Mapping]] = ...) -> None: ...

class InferenceLogged(_message.Message):
    __slots__ = ("response_id", "request_id", "policy", "policy_version", "checkpoint_digest", "channel", "tenant", "user_hash", "client_request_id", "not_learnable", "generate", "classify", "tag")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_HASH_FIELD_NUMBER: _ClassVar[int]
    CLIENT_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOT_LEARNABLE_FIELD_NUMBER: _ClassVar[int]
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    CLASSIFY_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    request_id: str
    policy: str
    policy_version: str
    checkpoint_digest: str
    channel: str
    tenant: str
    user_hash: str
    client_request_id: str
    not_learnable: str
    generate: GenerateAnswer
    classify: ClassifyAnswer
    tag: TagAnswer
    def __init__(self, response_id: _Optional[str] = ..., request_id: _Optional[str] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., checkpoint_digest: _Optional[str] = ..., channel: _Optional[str] = ..., tenant: _Optional[str] = ..., user_hash: _Optional[str] = ..., client_request_id: _Optional[str] = ..., not_learnable: _Optional[str] = ..., generate: _Optional[_Union[GenerateAnswer, _Mapping]] = ..., classify: _Optional[_Union[ClassifyAnswer, _Mapping]] = ..., tag: _Optional[_Union[TagAnswer, _Mapping]] = ...) -> None: ...

class LoggedMessage(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class GenerateAnswer(_message.Message):
    __slots__ = ("messages", "text", "prompt_token_ids", "token_ids", "logprobs", "temperature", "top_p", "top_k", "max_new_tokens", "finish_reason", "candidate", "candidates")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[LoggedMessage]
    text: str
    prompt_token_ids: _containers.RepeatedScalarFieldContainer[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    finish_reason: str
    candidate: int
    candidates: int
    def __init__(self, messages: _Optional[_Iterable[_Union[LoggedMessage, _Mapping]]] = ..., text: _Optional[str] = ..., prompt_token_ids: _Optional[_Iterable[int]] = ..., token_ids: _Optional[_Iterable[int]] = ..., logprobs: _Optional[_Iterable[float]] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., max_new_tokens: _Optional[int] = ..., finish_reason: _Optional[str] = ..., candidate: _Optional[int] = ..., candidates: _Optional[int] = ...) -> None: ...

class ClassifyAnswer(_message.Message):
    __slots__ = ("text", "label_index", "label", "probabilities", "probability_floor", "labels")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LABEL_INDEX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FLOOR_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    text: str
    label_index: int
    label: str
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    probability_floor: float
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., label_index: _Optional[int] = ..., label: _Optional[str] = ..., probabilities: _Optional[_Iterable[float]] = ..., probability_floor: _Optional[float] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class TagAnswer(_message.Message):
    __slots__ = ("text", "tokens", "tag_indices", "probabilities", "tags", "probability_floor", "starts", "ends")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TAG_INDICES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FLOOR_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    text: str
    tokens: _containers.RepeatedScalarFieldContainer[str]
    tag_indices: _containers.RepeatedScalarFieldContainer[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    tags: _containers.RepeatedScalarFieldContainer[str]
    probability_floor: float
    starts: _containers.RepeatedScalarFieldContainer[int]
    ends: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, text: _Optional[str] = ..., tokens: _Optional[_Iterable[str]] = ..., tag_indices: _Optional[_Iterable[int]] = ..., probabilities: _Optional[_Iterable[float]] = ..., tags: _Optional[_Iterable[str]] = ..., probability_floor: _Optional[float] = ..., starts: _Optional[_Iterable[int]] = ..., ends: _Optional[_Iterable[int]] = ...) -> None: ...

class FeedbackReceived(_message.Message):
    __slots__ = ("feedback_id", "response_id", "rater", "tenant", "policy", "policy_version", "thumb_up", "rating", "ranking", "edit", "comment", "reasons")
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    RATER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    THUMB_UP_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    feedback_id: str
    response_id: str
    rater: str
    tenant: str
    policy: str
    policy_version: str
    thumb_up: bool
    rating: int
    ranking: RankingGiven
    edit: EditGiven
    comment: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feedback_id: _Optional[str] = ..., response_id: _Optional[str] = ..., rater: _Optional[str] = ..., tenant: _Optional[str] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., thumb_up: _Optional[bool] = ..., rating: _Optional[int] = ..., ranking: _Optional[_Union[RankingGiven, _Mapping]] = ..., edit: _Optional[_Union[EditGiven, _Mapping]] = ..., comment: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class RankingGiven(_message.Message):
    __slots__ = ("response_ids",)
    RESPONSE_IDS_FIELD_NUMBER: _ClassVar[int]
    response_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, response_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class EditGiven(_message.Message):
    __slots__ = ("text", "label", "tags")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    text: str
    label: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., label: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class FeedbackRetracted(_message.Message):
    __slots__ = ("feedback_id", "response_id", "rater", "tenant", "kind")
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    RATER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    feedback_id: str
    response_id: str
    rater: str
    tenant: str
    kind: str
    def __init__(self, feedback_id: _Optional[str] = ..., response_id: _Optional[str] = ..., rater: _Optional[str] = ..., tenant: _Optional[str] = ..., kind: _Optional[str] = ...) -> None: ...
