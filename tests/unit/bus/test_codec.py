"""Records of the domain as records of the log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from thumbwheel.bus.codec import SCHEMA_HEADER, TRACE_HEADER, from_log, outline_from_log, to_log
from thumbwheel.bus.port import FEEDBACK, FOREIGN_NAME, REQUESTS, NewRecord, StoredRecord
from thumbwheel.errors import PoisonRecord
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    Retraction,
    VersionRef,
)

RESPONSE = LoggedResponse(
    "r1",
    "q1",
    VersionRef("p", "v1", "d"),
    Channel.CHAMPION,
    "t",
    "u",
    "c",
    1,
    "",
    ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",)),
)
VOTE = Feedback("f1", "r1", "u", "t", "p", "v1", FeedbackKind.THUMB, 2, thumb_up=True)
RETRACTION = Retraction("f2", "r1", "u", "t", FeedbackKind.THUMB, 3)


def stored(record: NewRecord) -> StoredRecord:
    return StoredRecord(record.topic, 0, 0, record.key, record.payload, record.headers, 9)


@pytest.mark.parametrize(("record", "topic"), [(RESPONSE, REQUESTS), (VOTE, FEEDBACK), (RETRACTION, FEEDBACK)])
def test_a_record_goes_to_its_topic_under_its_responses_key(
    record: LoggedResponse | Feedback | Retraction, topic: str
) -> None:
    appended = to_log(record, "00-trace-01")
    assert (appended.topic, appended.key) == (topic, "r1")
    assert appended.headers == {SCHEMA_HEADER: b"events.v1", TRACE_HEADER: b"00-trace-01"}
    assert from_log(stored(appended)) == record
    assert TRACE_HEADER not in to_log(record).headers


reading = pytest.mark.parametrize("read", [from_log, outline_from_log])
Read = Callable[[StoredRecord], object]


@reading
def test_a_record_with_a_header_name_that_is_no_text_is_poison_and_its_key_is_told(read: Read) -> None:
    appended = to_log(VOTE)
    marked = NewRecord(FEEDBACK, "r" * 100, appended.payload, {**appended.headers, FOREIGN_NAME: b""})
    with pytest.raises(PoisonRecord, match=rf"headers: the name of one is not UTF-8.*\(key '{'r' * 64}'\)"):
        read(stored(marked))


@reading
@pytest.mark.parametrize("headers", [{}, {SCHEMA_HEADER: b"events.v2"}, {SCHEMA_HEADER: b"\xff"}])
def test_another_schema_is_poison(read: Read, headers: dict[str, bytes]) -> None:
    with pytest.raises(PoisonRecord, match=r"thumbwheel-schema: must be events\.v1"):
        read(stored(to_log(VOTE))._replace(headers=headers))


@reading
@pytest.mark.parametrize(("record", "topic"), [(RESPONSE, FEEDBACK), (VOTE, REQUESTS), (RETRACTION, REQUESTS)])
def test_a_record_in_the_wrong_topic_is_poison(
    read: Read, record: LoggedResponse | Feedback | Retraction, topic: str
) -> None:
    read(stored(to_log(record)))
    with pytest.raises(PoisonRecord, match="does not belong into the topic"):
        read(stored(to_log(record))._replace(topic=topic))


@reading
def test_garbage_is_poison(read: Read) -> None:
    with pytest.raises(PoisonRecord, match="not an encoded"):
        read(stored(to_log(VOTE))._replace(payload=b"\xff\xff"))
