"""Records of the domain as records of the log: topic, partition key, bytes, and a header that names the schema."""

from __future__ import annotations

from collections.abc import Sequence

from thumbwheel.bus.port import FEEDBACK, FOREIGN_NAME, REQUESTS, NewRecord, StoredRecord
from thumbwheel.bus.sealing import KEY_HEADER
from thumbwheel.errors import PoisonRecord
from thumbwheel.events.convert import EventRecord, decode, encode
from thumbwheel.events.outline import AnswerOutline, Outline, outline
from thumbwheel.records import Feedback, LoggedResponse

SCHEMA_HEADER = "thumbwheel-schema"
SCHEMA = b"events.v1"
TRACE_HEADER = "traceparent"
_KEY_SHOWN = 64  # an id of an answer is shorter


def to_log(record: EventRecord, trace_parent: str = "") -> NewRecord:
    """Return what to append for a record. The key is the response's id: an answer and its votes share a partition."""
    headers = {SCHEMA_HEADER: SCHEMA}
    if trace_parent:
        headers[TRACE_HEADER] = trace_parent.encode()
    topic = REQUESTS if isinstance(record, LoggedResponse) else FEEDBACK
    return NewRecord(topic, record.response_id, encode(record, trace_parent), headers)


def from_log(stored: StoredRecord) -> EventRecord:
    """Return the record that was appended.

    Raises:
        PoisonRecord: it is no event of a schema that this version knows, lies in the wrong topic, or is sealed still.
    """
    _demand_schema(stored)
    record = decode(stored.payload)
    _demand_topic(stored, isinstance(record, LoggedResponse))
    return record


def answers_of(vote: NewRecord) -> Sequence[str]:
    """Return the ids of the answers that a vote, or its retraction, is about: of a ranking, all its candidates'.

    Raises PoisonRecord as `from_log` does.
    """
    record = decode(vote.payload)
    return record.ranking if isinstance(record, Feedback) and record.ranking else (vote.key,)


def outline_from_log(stored: StoredRecord) -> Outline:
    """Return the outline of the record that was appended. Raises PoisonRecord, of the same records as `from_log`."""
    _demand_schema(stored)
    found = outline(stored.payload)
    _demand_topic(stored, isinstance(found, AnswerOutline))
    return found


def _demand_schema(stored: StoredRecord) -> None:
    if FOREIGN_NAME in stored.headers:
        key = stored.key[:_KEY_SHOWN]
        raise PoisonRecord("headers", f"the name of one is not UTF-8, which this service never writes (key {key!r})")
    if KEY_HEADER in stored.headers:
        raise PoisonRecord(
            KEY_HEADER, "is sealed and does not open: its key is wrapped under another keys.json, or it was altered"
        )
    if stored.headers.get(SCHEMA_HEADER) != SCHEMA:
        raise PoisonRecord(SCHEMA_HEADER, f"must be {SCHEMA.decode()}")


def _demand_topic(stored: StoredRecord, is_answer: bool) -> None:
    if (stored.topic == REQUESTS) != is_answer:
        raise PoisonRecord("payload", f"does not belong into the topic {stored.topic}")
