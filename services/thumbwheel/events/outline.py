"""Events as the store takes them in: their bytes, and beside them only what it looks for and decides by.

Less than half of the work of decoding an event to its record, for who neither shows its texts nor learns from it.
"""

from __future__ import annotations

from typing import NamedTuple

from thumbwheel.events.checks import KIND_OF, checked
from thumbwheel.events.v1 import events_pb2 as pb


class AnswerOutline(NamedTuple):
    """A logged answer. The fields are those of a `LoggedResponse`."""

    response_id: str
    policy: str
    version: str
    user_hash: str
    time_us: int
    payload: bytes


class FeedbackOutline(NamedTuple):
    """Feedback, or a retraction of it, which names no policy. `kind` is the value of a `FeedbackKind`."""

    rater: str
    feedback_id: str
    response_id: str
    kind: str
    policy: str
    version: str
    time_us: int
    retracted: bool
    thumb_up: bool | None
    rating: int | None
    payload: bytes


Outline = AnswerOutline | FeedbackOutline


def outline(payload: bytes) -> Outline:
    """Return the outline of an encoded event.

    Raises:
        PoisonRecord: as `decode` does, of the same events.
    """
    message, time_us = checked(payload)
    if isinstance(message, pb.InferenceLogged):
        return AnswerOutline(
            message.response_id, message.policy, message.policy_version, message.user_hash, time_us, payload
        )
    if isinstance(message, pb.FeedbackReceived):
        return _feedback(message, time_us, payload)
    return _retraction(message, time_us, payload)


def _feedback(message: pb.FeedbackReceived, time_us: int, payload: bytes) -> FeedbackOutline:
    field = message.WhichOneof("feedback")
    return FeedbackOutline(
        message.rater,
        message.feedback_id,
        message.response_id,
        KIND_OF[field or ""],
        message.policy,
        message.policy_version,
        time_us,
        False,
        message.thumb_up if field == "thumb_up" else None,
        message.rating if field == "rating" else None,
        payload,
    )


def _retraction(message: pb.FeedbackRetracted, time_us: int, payload: bytes) -> FeedbackOutline:
    of_what = message.rater, message.feedback_id, message.response_id, message.kind
    return FeedbackOutline(*of_what, "", "", time_us, True, None, None, payload)
