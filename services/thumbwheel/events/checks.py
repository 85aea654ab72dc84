"""Bytes to a message that can be used: the one place that knows what makes an event poison."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from thumbwheel.errors import PoisonRecord
from thumbwheel.events.v1 import events_pb2 as pb
from thumbwheel.records import Channel, FeedbackKind

EventMessage = pb.InferenceLogged | pb.FeedbackReceived | pb.FeedbackRetracted

KIND_OF = {
    "thumb_up": FeedbackKind.THUMB.value,
    "rating": FeedbackKind.RATING.value,
    "ranking": FeedbackKind.RANKING.value,
    "edit": FeedbackKind.EDIT.value,
}
"""The kind of feedback, as a plain text, by the field of `FeedbackReceived` that is set."""

MAX_ID_BYTES = 512
"""What an id, a pseudonym or a name may have: an index of PostgreSQL takes 2,704 bytes, and three are in one index."""

_CHANNELS = frozenset(channel.value for channel in Channel)
_KINDS = frozenset(kind.value for kind in FeedbackKind)


def checked(payload: bytes) -> tuple[EventMessage, int]:
    """Return the message in an encoded `Event`, and the event's time in microseconds since the epoch.

    Raises:
        PoisonRecord: the bytes are no event, or one that this version does not know or that contradicts itself.
    """
    try:
        event = pb.Event.FromString(payload)
    except DecodeError:
        raise PoisonRecord("payload", "not an encoded events.v1.Event") from None
    which = event.WhichOneof("payload")
    if which == "inference_logged":
        return _checked_answer(event.inference_logged), event.time_unix_us
    if which == "feedback_received":
        return _checked_feedback(event.feedback_received), event.time_unix_us
    if which == "feedback_retracted":
        return _checked_retraction(event.feedback_retracted), event.time_unix_us
    raise PoisonRecord("payload", "an event of a kind that this version does not know")


def _checked_answer(message: pb.InferenceLogged) -> pb.InferenceLogged:
    _need_id("response_id", message.response_id)
    _need_id("policy", message.policy)
    _need_id("policy_version", message.policy_version)
    _check_fits("user_hash", message.user_hash)
    if message.channel not in _CHANNELS:
        raise PoisonRecord("channel", f"must be one of {', '.join(Channel)}")
    which = message.WhichOneof("answer")
    if which == "generate":
        _check_generate(message.generate)
    elif which == "classify":
        _check_classify(message.classify)
    elif which == "tag":
        _check_tag(message.tag)
    else:
        raise PoisonRecord("answer", "missing, or of a kind that this version does not know")
    return message


def _check_generate(answer: pb.GenerateAnswer) -> None:
    if len(answer.token_ids) != len(answer.logprobs):
        raise PoisonRecord("generate.logprobs", "must have one number for each of token_ids")


def _check_classify(answer: pb.ClassifyAnswer) -> None:
    labels = len(answer.labels)
    if labels != len(answer.probabilities):
        raise PoisonRecord("classify.probabilities", "must have one number for each of labels")
    if not 0 <= answer.label_index < labels:
        raise PoisonRecord("classify.label_index", "must be the place of a label in labels")


def _check_tag(answer: pb.TagAnswer) -> None:
    words, labels = len(answer.tokens), len(answer.tags)
    if not words or not labels:
        raise PoisonRecord("tag.tokens", "must have a token, and tags a tag")
    for name in ("tag_indices", "starts", "ends"):
        if len(getattr(answer, name)) != words:
            raise PoisonRecord(f"tag.{name}", "must have one number for each of tokens")
    if len(answer.probabilities) != words * labels:
        raise PoisonRecord("tag.probabilities", "must have one number for each of tags for each of tokens")
    if not all(0 <= index < labels for index in answer.tag_indices):
        raise PoisonRecord("tag.tag_indices", "must be places of tags in tags")


def _checked_feedback(message: pb.FeedbackReceived) -> pb.FeedbackReceived:
    _check_ids(message)
    which = message.WhichOneof("feedback")
    if which not in KIND_OF:
        raise PoisonRecord("feedback", "missing, or of a kind that this version does not know")
    if which == "rating" and not 1 <= message.rating <= 5:
        raise PoisonRecord("rating", "must be 1, 2, 3, 4 or 5")
    return message


def _checked_retraction(message: pb.FeedbackRetracted) -> pb.FeedbackRetracted:
    _check_ids(message)
    if message.kind not in _KINDS:
        raise PoisonRecord("kind", f"must be one of {', '.join(FeedbackKind)}")
    return message


def _check_ids(message: pb.FeedbackReceived | pb.FeedbackRetracted) -> None:
    _need_id("feedback_id", message.feedback_id)
    _need_id("response_id", message.response_id)
    _need_id("rater", message.rater)


def _need_id(name: str, value: str) -> None:
    """Refuse what can be no id: nothing at all, and what does not fit."""
    if not value:
        raise PoisonRecord(name, "must be there")
    _check_fits(name, value)


def _check_fits(name: str, value: str) -> None:
    """Refuse what no indexed column can hold: a zero character, or more than an index takes."""
    if "\0" in value:
        raise PoisonRecord(name, "must be without zero characters")
    if len(value.encode()) > MAX_ID_BYTES:
        raise PoisonRecord(name, f"must have {MAX_ID_BYTES} bytes at most")
