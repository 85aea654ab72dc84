"""Records to bytes and back: nothing lost, nothing bad let through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbwheel.errors import PoisonRecord
from thumbwheel.events.convert import EventRecord, decode, encode
from thumbwheel.events.outline import AnswerOutline, FeedbackOutline, outline
from thumbwheel.events.v1 import events_pb2 as pb
from thumbwheel.records import (
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
)

# What protobuf carries: text without lone surrogates, floats of single precision, integers of 32 and 64 bits.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
floats = st.floats(width=32, allow_nan=False)
numbers = st.integers(-(2**31), 2**31 - 1)
times = st.integers(-(2**63), 2**63 - 1)


@st.composite
def generated(draw: st.DrawFn) -> GenerateAnswer:
    tokens = draw(st.lists(st.tuples(numbers, floats), max_size=5))
    return GenerateAnswer(
        messages=tuple(Message(*turn) for turn in draw(st.lists(st.tuples(texts, texts), max_size=3))),
        text=draw(texts),
        prompt_token_ids=tuple(draw(st.lists(numbers, max_size=5))),
        token_ids=tuple(token for token, _ in tokens),
        logprobs=tuple(logprob for _, logprob in tokens),
        temperature=draw(floats),
        top_p=draw(floats),
        top_k=draw(numbers),
        max_new_tokens=draw(numbers),
        finish_reason=draw(texts),
        candidate=draw(numbers),
        candidates=draw(numbers),
    )


@st.composite
def classified(draw: st.DrawFn) -> ClassifyAnswer:
    labels = draw(st.lists(texts, min_size=1, max_size=5))
    return ClassifyAnswer(
        text=draw(texts),
        label_index=draw(st.integers(0, len(labels) - 1)),
        label=draw(texts),
        probabilities=tuple(draw(st.lists(floats, min_size=len(labels), max_size=len(labels)))),
        probability_floor=draw(floats),
        labels=tuple(labels),
    )


@st.composite
def tagged(draw: st.DrawFn) -> TagAnswer:
    labels = draw(st.lists(texts, min_size=1, max_size=3))
    words = draw(st.lists(st.tuples(texts, numbers, numbers, st.integers(0, len(labels) - 1)), min_size=1, max_size=4))
    size = len(words) * len(labels)
    return TagAnswer(
        text=draw(texts),
        tokens=tuple(word[0] for word in words),
        starts=tuple(word[1] for word in words),
        ends=tuple(word[2] for word in words),
        tag_indices=tuple(word[3] for word in words),
        probabilities=tuple(draw(st.lists(floats, min_size=size, max_size=size))),
        probability_floor=draw(floats),
        labels=tuple(labels),
    )


responses = st.builds(
    LoggedResponse,
    response_id=ids,
    request_id=texts,
    ref=st.builds(VersionRef, ids, ids, texts),
    channel=st.sampled_from(Channel),
    tenant=texts,
    user_hash=ids | st.just(""),
    client_request_id=texts,
    time_us=times,
    not_learnable=texts,
    answer=generated() | classified() | tagged(),
)


@st.composite
def votes(draw: st.DrawFn) -> Feedback:
    kind = draw(st.sampled_from(FeedbackKind))
    strings = st.lists(texts, max_size=3).map(tuple)
    return Feedback(
        feedback_id=draw(ids),
        response_id=draw(ids),
        rater=draw(ids),
        tenant=draw(texts),
        policy=draw(texts),
        policy_version=draw(texts),
        kind=kind,
        time_us=draw(times),
        thumb_up=draw(st.booleans()) if kind is FeedbackKind.THUMB else None,
        rating=draw(st.integers(1, 5)) if kind is FeedbackKind.RATING else None,
        ranking=draw(strings) if kind is FeedbackKind.RANKING else (),
        edit=Edit(draw(texts), draw(texts), draw(strings)) if kind is FeedbackKind.EDIT else None,
        comment=draw(texts),
        reasons=draw(strings),
    )


retractions = st.builds(Retraction, ids, ids, ids, texts, st.sampled_from(FeedbackKind), times)


@given(responses | votes() | retractions)
def test_every_record_comes_back_as_it_was(record: EventRecord) -> None:
    assert decode(encode(record)) == record


@given(responses | votes() | retractions)
def test_an_outline_says_what_the_record_says(record: EventRecord) -> None:
    payload = encode(record)
    expected: AnswerOutline | FeedbackOutline
    if isinstance(record, LoggedResponse):
        named = record.response_id, record.ref.policy, record.ref.version, record.user_hash
        expected = AnswerOutline(*named, record.time_us, payload)
    elif isinstance(record, Feedback):
        named = record.rater, record.feedback_id, record.response_id, record.kind.value
        ref = record.policy, record.policy_version
        expected = FeedbackOutline(*named, *ref, record.time_us, False, record.thumb_up, record.rating, payload)
    else:
        named = record.rater, record.feedback_id, record.response_id, record.kind.value
        expected = FeedbackOutline(*named, "", "", record.time_us, True, None, None, payload)
    assert outline(payload) == expected


@given(votes())
def test_the_stores_sequence_is_not_part_of_the_event(vote: Feedback) -> None:
    assert encode(replace(vote, sequence=7)) == encode(vote)


def test_the_envelope_names_the_event() -> None:
    vote = Feedback("f1", "r1", "u", "t", "p", "v", FeedbackKind.THUMB, 42, thumb_up=False)
    event = pb.Event.FromString(encode(vote, "00-trace-01"))
    assert (event.event_id, event.time_unix_us, event.trace_parent) == ("f1", 42, "00-trace-01")
    assert event.WhichOneof("payload") == "feedback_received"
    assert event.feedback_received.WhichOneof("feedback") == "thumb_up"


@given(st.binary(max_size=200))
def test_garbage_is_poison_and_nothing_else(payload: bytes) -> None:
    try:
        record = decode(payload)
    except PoisonRecord:
        return
    assert decode(encode(record)) == record


@given(responses | votes() | retractions, st.data())
def test_a_flipped_byte_is_poison_or_another_record(record: EventRecord, data: st.DataObject) -> None:
    payload = bytearray(encode(record))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decode(bytes(payload))
    except PoisonRecord as poison:
        with pytest.raises(PoisonRecord) as also:
            outline(bytes(payload))
        assert str(also.value) == str(poison)
        return
    assert outline(bytes(payload)).payload == payload


def response_event() -> pb.Event:
    served = ClassifyAnswer("text", 1, "b", (0.25, 0.75), 0.0, ("a", "b"))
    ref = VersionRef("p", "v1", "d")
    record = LoggedResponse("r1", "q1", ref, Channel.CHAMPION, "t", "u", "c", 1, "", served)
    return pb.Event.FromString(encode(record))


def tag_event() -> pb.Event:
    served = TagAnswer("to Rome", ("to", "Rome"), (0, 3), (2, 7), (0, 1), (0.5, 0.5, 0.25, 0.75), 0.0, ("O", "B-x"))
    record = replace(_record_of(response_event()), answer=served)
    return pb.Event.FromString(encode(record))


def _record_of(event: pb.Event) -> LoggedResponse:
    record = decode(event.SerializeToString())
    assert isinstance(record, LoggedResponse)
    return record


def rating_event() -> pb.Event:
    return pb.Event.FromString(encode(Feedback("f1", "r1", "u", "t", "p", "v", FeedbackKind.RATING, 1, rating=3)))


def retraction_event() -> pb.Event:
    return pb.Event.FromString(encode(Retraction("f1", "r1", "u", "t", FeedbackKind.THUMB, 1)))


@pytest.mark.parametrize(
    ("make", "change", "field"),
    [
        (response_event, lambda e: e.ClearField("inference_logged"), "payload"),
        (response_event, lambda e: e.inference_logged.ClearField("classify"), "answer"),
        (response_event, lambda e: e.inference_logged.tag.SetInParent(), "tag.tokens"),
        (tag_event, lambda e: e.inference_logged.tag.starts.append(1), "tag.starts"),
        (tag_event, lambda e: e.inference_logged.tag.ends.pop(), "tag.ends"),
        (tag_event, lambda e: e.inference_logged.tag.tag_indices.append(0), "tag.tag_indices"),
        (tag_event, lambda e: e.inference_logged.tag.tag_indices.__setitem__(0, 2), "tag.tag_indices"),
        (tag_event, lambda e: e.inference_logged.tag.probabilities.append(0.1), "tag.probabilities"),
        (tag_event, lambda e: e.inference_logged.tag.ClearField("tags"), "tag.tokens"),
        (response_event, lambda e: e.inference_logged.ClearField("response_id"), "response_id"),
        (response_event, lambda e: e.inference_logged.ClearField("policy"), "policy"),
        (response_event, lambda e: e.inference_logged.ClearField("policy_version"), "policy_version"),
        (response_event, lambda e: setattr(e.inference_logged, "response_id", "a\0b"), "response_id"),
        (response_event, lambda e: setattr(e.inference_logged, "user_hash", "a\0b"), "user_hash"),
        (response_event, lambda e: setattr(e.inference_logged, "channel", "other"), "channel"),
        (response_event, lambda e: e.inference_logged.classify.probabilities.append(0.1), "classify.probabilities"),
        (response_event, lambda e: setattr(e.inference_logged.classify, "label_index", 2), "classify.label_index"),
        (response_event, lambda e: setattr(e.inference_logged.classify, "label_index", -1), "classify.label_index"),
        (response_event, lambda e: e.inference_logged.generate.token_ids.append(1), "generate.logprobs"),
        (rating_event, lambda e: e.feedback_received.ClearField("rating"), "feedback"),
        (rating_event, lambda e: setattr(e.feedback_received, "rating", 0), "rating"),
        (rating_event, lambda e: setattr(e.feedback_received, "rating", 6), "rating"),
        (rating_event, lambda e: e.feedback_received.ClearField("feedback_id"), "feedback_id"),
        (rating_event, lambda e: e.feedback_received.ClearField("rater"), "rater"),
        (rating_event, lambda e: setattr(e.feedback_received, "feedback_id", "f" * 513), "feedback_id"),
        (rating_event, lambda e: setattr(e.feedback_received, "rater", "\u00e9" * 257), "rater"),
        (response_event, lambda e: setattr(e.inference_logged, "response_id", "r" * 513), "response_id"),
        (response_event, lambda e: setattr(e.inference_logged, "user_hash", "u" * 513), "user_hash"),
        (response_event, lambda e: setattr(e.inference_logged, "policy", "p" * 513), "policy"),
        (response_event, lambda e: setattr(e.inference_logged, "policy_version", "v" * 513), "policy_version"),
        (retraction_event, lambda e: setattr(e.feedback_retracted, "feedback_id", "f" * 513), "feedback_id"),
        (retraction_event, lambda e: setattr(e.feedback_retracted, "kind", "wave"), "kind"),
        (retraction_event, lambda e: e.feedback_retracted.ClearField("response_id"), "response_id"),
    ],
)
def test_what_contradicts_itself_is_poison(
    make: Callable[[], pb.Event], change: Callable[[pb.Event], object], field: str
) -> None:
    event = make()
    for read in (decode, outline):
        read(event.SerializeToString())
    change(event)
    for read in (decode, outline):
        with pytest.raises(PoisonRecord) as poison:
            read(event.SerializeToString())
        assert poison.value.field == field
