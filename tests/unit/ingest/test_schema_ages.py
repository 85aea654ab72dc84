"""Events of older and newer releases pass ingest; only what this one can not know of stays out, as dead letters."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answered import answer_and_vote
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog, NewRecord
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.events.v1 import events_pb2
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import FeedbackKind
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

NEW_FIELD = 999


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    opened = open_log(tmp_path / "log.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedbackStore]:
    opened = open_store(f"sqlite:///{tmp_path}/store.sqlite")
    yield opened
    opened.close()


def schema(change: Callable[[FileDescriptorProto], None]) -> Any:
    """The class of `Event` in another release's schema."""
    file = FileDescriptorProto()
    events_pb2.DESCRIPTOR.CopyToProto(file)
    change(file)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("thumbwheel.events.v1.Event"))


def grown(file: FileDescriptorProto) -> None:
    """Every message has a field more."""
    for message in file.message_type:
        message.field.add(
            name="added",
            number=NEW_FIELD,
            type=FieldDescriptorProto.TYPE_STRING,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
        )


def young(file: FileDescriptorProto) -> None:
    """Votes have no comment and no reasons yet, answers no tenant and no id of their client."""
    lacks = {"FeedbackReceived": {"comment", "reasons"}, "InferenceLogged": {"tenant", "client_request_id"}}
    for message in file.message_type:
        kept = [field for field in message.field if field.name not in lacks.get(message.name, ())]
        del message.field[:]
        message.field.extend(kept)


def fill(message: Any) -> None:
    """Set the added field of a message, and of every message that is in it."""
    message.added = "what nobody here knows"
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            fill(value)


def ingest(log: EventLog, store: FeedbackStore) -> None:
    IngestWorker(Source(log), store, Ingest()).drain()


def test_fields_of_a_newer_release_are_passed_over_and_nothing_else_is(log: EventLog, store: FeedbackStore) -> None:
    newer = schema(grown)
    sent = answer_and_vote(1)
    for record in [to_log(one) for one in sent]:
        event = newer.FromString(record.payload)
        fill(event)
        assert event.SerializeToString() != record.payload
        log.append([replace(record, payload=event.SerializeToString())])
    ingest(log, store)
    assert (store.dead_letters(9), store.count_orphans()) == ([], 0)
    assert store.response("r1") == sent[0]
    assert store.current_vote("r1", "u", FeedbackKind.THUMB) == replace(sent[1], sequence=1)
    payloads = [one.payload for topic in (REQUESTS, FEEDBACK) for one in log.read(topic, 0, 0, 10)]
    assert all(b"what nobody here knows" in payload for payload in payloads)  # a later release can replay it


@pytest.mark.parametrize("vote_first", [False, True])
def test_the_store_keeps_events_as_they_came(
    log: EventLog, store: FeedbackStore, tmp_path: Path, vote_first: bool
) -> None:
    newer, sent = schema(grown), []
    for record in [to_log(one, trace_parent="00-trace-span-01") for one in answer_and_vote(1)]:
        event = newer.FromString(record.payload)
        fill(event)
        sent.append(replace(record, payload=event.SerializeToString()))
    for record in reversed(sent) if vote_first else sent:
        log.append([record])
        ingest(log, store)
    assert store.count_orphans() == 0
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as rows:
        for table, record in zip(("responses", "feedback_events"), sent, strict=True):
            assert rows.execute(f"SELECT payload FROM {table}").fetchall() == [(record.payload,)]


def test_events_of_an_older_release_have_defaults_for_what_they_lack(log: EventLog, store: FeedbackStore) -> None:
    older = schema(young)
    answer, vote = answer_and_vote(1)
    answer, vote = replace(answer, tenant="acme"), replace(vote, comment="fine", reasons=("clear",))
    for record in (to_log(answer), to_log(vote)):
        event = older.FromString(record.payload)
        event.DiscardUnknownFields()
        log.append([replace(record, payload=event.SerializeToString())])
    ingest(log, store)
    assert (store.dead_letters(9), store.count_orphans()) == ([], 0)
    assert store.response("r1") is not None
    assert store.current_vote("r1", "u", FeedbackKind.THUMB) == replace(vote, comment="", reasons=(), sequence=1)


def test_an_event_of_a_kind_that_only_a_newer_release_knows_waits_with_its_bytes(
    log: EventLog, store: FeedbackStore
) -> None:
    record = to_log(answer_and_vote(1)[1])
    unknown = events_pb2.Event(event_id="e", time_unix_us=1).SerializeToString() + bytes([0x9A, 0x01, 0x00])
    log.append([NewRecord(FEEDBACK, record.key, unknown, record.headers)])
    ingest(log, store)
    (letter,) = store.dead_letters(10)
    assert letter.payload == unknown and "this version does not know" in letter.reason
