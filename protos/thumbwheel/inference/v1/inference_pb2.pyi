from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PolicyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_KIND_UNSPECIFIED: _ClassVar[PolicyKind]
    POLICY_KIND_GENERATE: _ClassVar[PolicyKind]
    POLICY_KIND_CLASSIFY: _ClassVar[PolicyKind]
    POLICY_KIND_TAG: _ClassVar[PolicyKind]

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_STOP_STRING: _ClassVar[FinishReason]
POLICY_KIND_UNSPECIFIED: PolicyKind
POLICY_KIND_GENERATE: PolicyKind
POLICY_KIND_CLASSIFY: PolicyKind
POLICY_KIND_TAG: PolicyKind
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_STOP_STRING: FinishReason

class User(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Stamp(_message.Message):
    __slots__ = ("response_id", "policy", "policy_version", "checkpoint_digest", "feedback_token", "channel", "logged")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LOGGED_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    policy: str
    policy_version: str
    checkpoint_digest: str
    feedback_token: str
    channel: str
    logged: bool
    def __init__(self, response_id: _Optional[str] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., checkpoint_digest: _Optional[str] = ..., feedback_token: _Optional[str] = ..., channel: _Optional[str] = ..., logged: _Optional[bool] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_p", "top_k", "max_new_tokens", "stop", "greedy")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    GREEDY_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    greedy: bool
    def __init__(self, temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., max_new_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., greedy: _Optional[bool] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("policy", "prompt", "conversation", "sampling", "n", "user", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: str
    prompt: str
    conversation: Conversation
    sampling: Sampling
    n: int
    user: User
    request_id: str
    def __init__(self, policy: _Optional[str] = ..., prompt: _Optional[str] = ..., conversation: _Optional[_Union[Conversation, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., n: _Optional[int] = ..., user: _Optional[_Union[User, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class Conversation(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("stamp", "text", "finish_reason", "prompt_tokens", "completion_tokens")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    stamp: Stamp
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    def __init__(self, stamp: _Optional[_Union[Stamp, _Mapping]] = ..., text: _Optional[str] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("candidates",)
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    def __init__(self, candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ...) -> None: ...

class StreamGenerateResponse(_message.Message):
    __slots__ = ("stamp", "candidate", "text_delta", "finish_reason", "prompt_tokens", "completion_tokens")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    stamp: Stamp
    candidate: int
    text_delta: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    def __init__(self, stamp: _Optional[_Union[Stamp, _Mapping]] = ..., candidate: _Optional[int] = ..., text_delta: _Optional[str] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("policy", "text", "greedy", "user", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    GREEDY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: str
    text: str
    greedy: bool
    user: User
    request_id: str
    def __init__(self, policy: _Optional[str] = ..., text: _Optional[str] = ..., greedy: _Optional[bool] = ..., user: _Optional[_Union[User, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class LabelProbability(_message.Message):
    __slots__ = ("label", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("stamp", "label", "probabilities")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    stamp: Stamp
    label: str
    probabilities: _containers.RepeatedCompositeFieldContainer[LabelProbability]
    def __init__(self, stamp: _Optional[_Union[Stamp, _Mapping]] = ..., label: _Optional[str] = ..., probabilities: _Optional[_Iterable[_Union[LabelProbability, _Mapping]]] = ...) -> None: ...

class TagRequest(_message.Message):
    __slots__ = ("policy", "text", "greedy", "user", "request_id", "tokens")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    GREEDY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    text: str
    greedy: bool
    user: User
    request_id: str
    tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, policy: _Optional[str] = ..., text: _Optional[str] = ..., greedy: _Optional[bool] = ..., user: _Optional[_Union[User, _Mapping]] = ..., request_id: _Optional[str] = ..., tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class TaggedToken(_message.Message):
    __slots__ = ("token", "tag", "start", "end", "probability")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    token: str
    tag: str
    start: int
    end: int
    probability: float
    def __init__(self, token: _Optional[str] = ..., tag: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., probability: _Optional[float] = ...) -> None: ...

class TagResponse(_message.Message):
    __slots__ = ("stamp", "tokens")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    stamp: Stamp
    tokens: _containers.RepeatedCompositeFieldContainer[TaggedToken]
    def __init__(self, stamp: _Optional[_Union[Stamp, _Mapping]] = ..., tokens: _Optional[_Iterable[_Union[TaggedToken, _Mapping]]] = ...) -> None: ...

class DescribePolicyRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: str
    def __init__(self, policy: _Optional[str] = ...) -> None: ...

class DescribePolicyResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[PolicyDescription]
    def __init__(self, policies: _Optional[_Iterable[_Union[PolicyDescription, _Mapping]]] = ...) -> None: ...

class PolicyDescription(_message.Message):
    __slots__ = ("policy", "kind", "served", "labels", "max_input_tokens", "max_new_tokens", "probability_floor")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FLOOR_FIELD_NUMBER: _ClassVar[int]
    policy: str
    kind: PolicyKind
    served: _containers.RepeatedCompositeFieldContainer[ServedVersion]
    labels: _containers.RepeatedScalarFieldContainer[str]
    max_input_tokens: int
    max_new_tokens: int
    probability_floor: float
    def __init__(self, policy: _Optional[str] = ..., kind: _Optional[_Union[PolicyKind, str]] = ..., served: _Optional[_Iterable[_Union[ServedVersion, _Mapping]]] = ..., labels: _Optional[_Iterable[str]] = ..., max_input_tokens: _Optional[int] = ..., max_new_tokens: _Optional[int] = ..., probability_floor: _Optional[float] = ...) -> None: ...

class ServedVersion(_message.Message):
    __slots__ = ("channel", "policy_version", "checkpoint_digest")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    channel: str
    policy_version: str
    checkpoint_digest: str
    def __init__(self, channel: _Optional[str] = ..., policy_version: _Optional[str] = ..., checkpoint_digest: _Optional[str] = ...) -> None: ...
