from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Thumb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    THUMB_UNSPECIFIED: _ClassVar[Thumb]
    THUMB_UP: _ClassVar[Thumb]
    THUMB_DOWN: _ClassVar[Thumb]

class FeedbackKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEEDBACK_KIND_UNSPECIFIED: _ClassVar[FeedbackKind]
    FEEDBACK_KIND_THUMB: _ClassVar[FeedbackKind]
    FEEDBACK_KIND_RATING: _ClassVar[FeedbackKind]
    FEEDBACK_KIND_RANKING: _ClassVar[FeedbackKind]
    FEEDBACK_KIND_EDIT: _ClassVar[FeedbackKind]
THUMB_UNSPECIFIED: Thumb
THUMB_UP: Thumb
THUMB_DOWN: Thumb
FEEDBACK_KIND_UNSPECIFIED: FeedbackKind
FEEDBACK_KIND_THUMB: FeedbackKind
FEEDBACK_KIND_RATING: FeedbackKind
FEEDBACK_KIND_RANKING: FeedbackKind
FEEDBACK_KIND_EDIT: FeedbackKind

class Ranking(_message.Message):
    __slots__ = ("best_first",)
    BEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    best_first: _containers.RepeatedCompositeFieldContainer[RankedCandidate]
    def __init__(self, best_first: _Optional[_Iterable[_Union[RankedCandidate, _Mapping]]] = ...) -> None: ...

class RankedCandidate(_message.Message):
    __slots__ = ("response_id", "feedback_token")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    feedback_token: str
    def __init__(self, response_id: _Optional[str] = ..., feedback_token: _Optional[str] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("text", "label", "tags")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    text: str
    label: str
    tags: Tags
    def __init__(self, text: _Optional[str] = ..., label: _Optional[str] = ..., tags: _Optional[_Union[Tags, _Mapping]] = ...) -> None: ...

class Tags(_message.Message):
    __slots__ = ("tags",)
    TAGS_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tags: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitFeedbackRequest(_message.Message):
    __slots__ = ("feedback_id", "response_id", "feedback_token", "thumb", "rating", "ranking", "edit", "comment", "reasons", "user_id")
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    THUMB_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    feedback_id: str
    response_id: str
    feedback_token: str
    thumb: Thumb
    rating: int
    ranking: Ranking
    edit: Edit
    comment: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    user_id: str
    def __init__(self, feedback_id: _Optional[str] = ..., response_id: _Optional[str] = ..., feedback_token: _Optional[str] = ..., thumb: _Optional[_Union[Thumb, str]] = ..., rating: _Optional[int] = ..., ranking: _Optional[_Union[Ranking, _Mapping]] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ..., comment: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., user_id: _Optional[str] = ...) -> None: ...

class SubmitFeedbackResponse(_message.Message):
    __slots__ = ("feedback_id",)
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    feedback_id: str
    def __init__(self, feedback_id: _Optional[str] = ...) -> None: ...

class RetractFeedbackRequest(_message.Message):
    __slots__ = ("feedback_id", "response_id", "feedback_token", "kind", "user_id")
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    feedback_id: str
    response_id: str
    feedback_token: str
    kind: FeedbackKind
    user_id: str
    def __init__(self, feedback_id: _Optional[str] = ..., response_id: _Optional[str] = ..., feedback_token: _Optional[str] = ..., kind: _Optional[_Union[FeedbackKind, str]] = ..., user_id: _Optional[str] = ...) -> None: ...

class RetractFeedbackResponse(_message.Message):
    __slots__ = ("feedback_id",)
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    feedback_id: str
    def __init__(self, feedback_id: _Optional[str] = ...) -> None: ...
