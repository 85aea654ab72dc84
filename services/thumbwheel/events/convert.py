"""Records of the domain to encoded `events.v1.Event` and back: the one place that knows both.

A new event field needs a line in `_..._message` and one in `_..._record`. What makes it poison is in `checks.py`.
"""

from __future__ import annotations

from typing import assert_never

from google.protobuf.message import DecodeError

from thumbwheel.events.checks import KIND_OF, checked
from thumbwheel.events.v1 import events_pb2 as pb
from thumbwheel.records import (
    Answer,
    Channel,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    Retraction,
    TagAnswer,
    VersionRef,
    is_anonymous,
)

EventRecord = LoggedResponse | Feedback | Retraction


def encode(record: EventRecord, trace_parent: str = "") -> bytes:
    """Return the record as the bytes of an `Event`. Floats are kept in single precision, as the contract has them.

    The store's `sequence` of a `Feedback` is not part of the event.
    """
    event = pb.Event(time_unix_us=record.time_us, trace_parent=trace_parent)
    if isinstance(record, LoggedResponse):
        event.event_id = record.response_id
        event.inference_logged.CopyFrom(_response_message(record))
    elif isinstance(record, Feedback):
        event.event_id = record.feedback_id
        event.feedback_received.CopyFrom(_feedback_message(record))
    elif isinstance(record, Retraction):
        event.event_id = record.feedback_id
        event.feedback_retracted.CopyFrom(_retraction_message(record))
    else:
        assert_never(record)
    return event.SerializeToString()


def decode(payload: bytes) -> EventRecord:
    """Return the record that `encode` was given.

    Raises:
        PoisonRecord: the bytes are no event, or one that this version does not know or that contradicts itself.
    """
    message, time_us = checked(payload)
    if isinstance(message, pb.InferenceLogged):
        return _response_record(message, time_us)
    if isinstance(message, pb.FeedbackReceived):
        return _feedback_record(message, time_us)
    return _retraction_record(message, time_us)


def user_of(payload: bytes) -> str:
    """Return the pseudonym of the user whom an encoded event is of: who asked, or who votes.

    Empty where there is none: without a user id nobody could ask to be erased. And for what is no event.
    """
    try:
        event = pb.Event.FromString(payload)
    except DecodeError:
        return ""
    which = event.WhichOneof("payload")
    if which == "inference_logged":
        return event.inference_logged.user_hash
    rater = getattr(event, which).rater if which else ""
    return "" if is_anonymous(rater) else str(rater)


# --- responses ----------------------------------------------------------------------------------------------


def _response_message(record: LoggedResponse) -> pb.InferenceLogged:
    message = pb.InferenceLogged(
        response_id=record.response_id,
        request_id=record.request_id,
        policy=record.ref.policy,
        policy_version=record.ref.version,
        checkpoint_digest=record.ref.digest,
        channel=record.channel.value,
        tenant=record.tenant,
        user_hash=record.user_hash,
        client_request_id=record.client_request_id,
        not_learnable=record.not_learnable,
    )
    match record.answer:
        case GenerateAnswer():
            message.generate.CopyFrom(_generate_message(record.answer))
        case ClassifyAnswer():
            message.classify.CopyFrom(_classify_message(record.answer))
        case TagAnswer():
            message.tag.CopyFrom(_tag_message(record.answer))
        case _:
            assert_never(record.answer)
    return message


def _generate_message(answer: GenerateAnswer) -> pb.GenerateAnswer:
    return pb.GenerateAnswer(
        messages=[pb.LoggedMessage(role=turn.role, content=turn.content) for turn in answer.messages],
        text=answer.text,
        prompt_token_ids=answer.prompt_token_ids,
        token_ids=answer.token_ids,
        logprobs=answer.logprobs,
        temperature=answer.temperature,
        top_p=answer.top_p,
        top_k=answer.top_k,
        max_new_tokens=answer.max_new_tokens,
        finish_reason=answer.finish_reason,
        candidate=answer.candidate,
        candidates=answer.candidates,
    )


def _classify_message(answer: ClassifyAnswer) -> pb.ClassifyAnswer:
    return pb.ClassifyAnswer(
        text=answer.text,
        label_index=answer.label_index,
        label=answer.label,
        probabilities=answer.probabilities,
        probability_floor=answer.probability_floor,
        labels=answer.labels,
    )


def _tag_message(answer: TagAnswer) -> pb.TagAnswer:
    return pb.TagAnswer(
        text=answer.text,
        tokens=answer.tokens,
        tag_indices=answer.tag_indices,
        probabilities=answer.probabilities,
        tags=answer.labels,
        probability_floor=answer.probability_floor,
        starts=answer.starts,
        ends=answer.ends,
    )


def _response_record(message: pb.InferenceLogged, time_us: int) -> LoggedResponse:
    return LoggedResponse(
        response_id=message.response_id,
        request_id=message.request_id,
        ref=VersionRef(message.policy, message.policy_version, message.checkpoint_digest),
        channel=Channel(message.channel),
        tenant=message.tenant,
        user_hash=message.user_hash,
        client_request_id=message.client_request_id,
        time_us=time_us,
        not_learnable=message.not_learnable,
        answer=_answer_record(message),
    )


def _answer_record(message: pb.InferenceLogged) -> Answer:
    which = message.WhichOneof("answer")
    if which == "generate":
        return _generate_record(message.generate)
    if which == "tag":
        return _tag_record(message.tag)
    return _classify_record(message.classify)


def _generate_record(answer: pb.GenerateAnswer) -> GenerateAnswer:
    return GenerateAnswer(
        messages=tuple(Message(turn.role, turn.content) for turn in answer.messages),
        text=answer.text,
        prompt_token_ids=tuple(answer.prompt_token_ids),
        token_ids=tuple(answer.token_ids),
        logprobs=tuple(answer.logprobs),
        temperature=answer.temperature,
        top_p=answer.top_p,
        top_k=answer.top_k,
        max_new_tokens=answer.max_new_tokens,
        finish_reason=answer.finish_reason,
        candidate=answer.candidate,
        candidates=answer.candidates,
    )


def _classify_record(answer: pb.ClassifyAnswer) -> ClassifyAnswer:
    return ClassifyAnswer(
        text=answer.text,
        label_index=answer.label_index,
        label=answer.label,
        probabilities=tuple(answer.probabilities),
        probability_floor=answer.probability_floor,
        labels=tuple(answer.labels),
    )


def _tag_record(answer: pb.TagAnswer) -> TagAnswer:
    return TagAnswer(
        text=answer.text,
        tokens=tuple(answer.tokens),
        starts=tuple(answer.starts),
        ends=tuple(answer.ends),
        tag_indices=tuple(answer.tag_indices),
        probabilities=tuple(answer.probabilities),
        probability_floor=answer.probability_floor,
        labels=tuple(answer.tags),
    )


# --- feedback -----------------------------------------------------------------------------------------------


def _feedback_message(record: Feedback) -> pb.FeedbackReceived:
    message = pb.FeedbackReceived(
        feedback_id=record.feedback_id,
        response_id=record.response_id,
        rater=record.rater,
        tenant=record.tenant,
        policy=record.policy,
        policy_version=record.policy_version,
        comment=record.comment,
        reasons=record.reasons,
    )
    if record.kind is FeedbackKind.THUMB and record.thumb_up is not None:
        message.thumb_up = record.thumb_up
    elif record.kind is FeedbackKind.RATING and record.rating is not None:
        message.rating = record.rating
    elif record.kind is FeedbackKind.RANKING:
        message.ranking.CopyFrom(pb.RankingGiven(response_ids=record.ranking))
    elif record.kind is FeedbackKind.EDIT and record.edit is not None:
        edit = record.edit
        message.edit.CopyFrom(pb.EditGiven(text=edit.text, label=edit.label, tags=edit.tags))
    return message


def _feedback_record(message: pb.FeedbackReceived, time_us: int) -> Feedback:
    kind = FeedbackKind(KIND_OF[message.WhichOneof("feedback") or ""])
    return Feedback(
        feedback_id=message.feedback_id,
        response_id=message.response_id,
        rater=message.rater,
        tenant=message.tenant,
        policy=message.policy,
        policy_version=message.policy_version,
        kind=kind,
        time_us=time_us,
        thumb_up=message.thumb_up if kind is FeedbackKind.THUMB else None,
        rating=message.rating if kind is FeedbackKind.RATING else None,
        ranking=tuple(message.ranking.response_ids),
        edit=_edit_record(message.edit) if kind is FeedbackKind.EDIT else None,
        comment=message.comment,
        reasons=tuple(message.reasons),
    )


def _edit_record(message: pb.EditGiven) -> Edit:
    return Edit(text=message.text, label=message.label, tags=tuple(message.tags))


def _retraction_message(record: Retraction) -> pb.FeedbackRetracted:
    return pb.FeedbackRetracted(
        feedback_id=record.feedback_id,
        response_id=record.response_id,
        rater=record.rater,
        tenant=record.tenant,
        kind=record.kind.value,
    )


def _retraction_record(message: pb.FeedbackRetracted, time_us: int) -> Retraction:
    kind = FeedbackKind(message.kind)
    return Retraction(message.feedback_id, message.response_id, message.rater, message.tenant, kind, time_us)
