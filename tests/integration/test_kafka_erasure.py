"""A user is erased with Kafka as the log: every file of every part is searched, and a replay brings nobody back."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from answered import answer_and_vote
from kafka_server import KafkaBroker

from thumbwheel.admin.erasure import Eraser
from thumbwheel.app.learning import RunCopies
from thumbwheel.app.replay import replay
from thumbwheel.app.storage import open_source
from thumbwheel.bus.codec import from_log, to_log
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import DEAD_LETTERS, FEEDBACK, REQUESTS, USER_KEYS, NewRecord
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.source import Source
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import load_keys, load_or_make_keys
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.raters import Raters
from thumbwheel.ingest.dead_letter_topic import DeadLetterPublisher
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import LoggedResponse
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")

SECRET_WORDS = "forgotten words"


@pytest.fixture
def settings(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Settings]:
    kafka = {
        "bootstrap_servers": kafka_broker.bootstrap,
        "topic_prefix": f"{uuid.uuid4()}.",
        "partitions": 2,
        "replication": 1,
        "key_removal_s": 1.0,
    }
    made = Settings.model_validate({"home": tmp_path / "home", "log": {"kind": "kafka"}, "kafka": kafka})
    made.home.mkdir()
    load_or_make_keys(made.keys_path, 1)
    create_topics(made.kafka)
    yield made
    gc.collect()


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Source, FeedbackStore, Raters]]:
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        source = open_source(settings, stack)
        yield source, store, Raters(load_keys(settings.keys_path).user_key)


def ship_and_ingest(source: Source, store: FeedbackStore, settings: Settings) -> None:
    assert source.outbox is not None
    relay = Relay(source.outbox, source.log)
    while relay.run_once():
        pass
    IngestWorker(source, store, settings.ingest).drain()


def say(source: Source, user: str, numbers: range, words: str) -> None:
    assert source.outbox is not None
    for number in numbers:
        answer, vote = answer_and_vote(number, user=user, text=f"{words} {number}")
        source.outbox.append([to_log(answer), to_log(vote)])


def erase(settings: Settings, user_id: str) -> int:
    with opened(settings) as (source, store, raters):
        progress = IngestProgress(store, source, 5.0)
        eraser = Eraser(raters, progress, source, store, RunCopies(settings.runs_dir))
        return asyncio.run(eraser.erase(user_id, "ann", "asked for")).responses


def users(settings: Settings) -> set[str]:
    with opened(settings) as (_, store, _):
        return {one.response.user_hash for one in store.rated("p", store.watermark())}


def files_with(word: str, *folders: Path) -> list[str]:
    files = (Path(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names)
    return [path.name for path in files if word.encode() in contents(path)]


def contents(path: Path) -> bytes:
    """What is in a file; nothing if the broker has removed it meanwhile, with another test's topic."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_no_file_holds_a_word_of_an_erased_user_and_a_replay_brings_nothing_back(
    settings: Settings, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    with opened(settings) as (source, store, raters):
        alice, bob = raters.user_hash("alice"), raters.user_hash("bob")
        say(source, alice, range(20), SECRET_WORDS)
        say(source, bob, range(20, 30), "remembered words")
        # one vote without its answer, given up: a dead letter, published
        orphan = answer_and_vote(99, user=alice)[1]
        assert source.outbox is not None
        source.outbox.append([to_log(orphan), NewRecord(FEEDBACK, "k", b"poison of nobody")])
        assert files_with(SECRET_WORDS, settings.home) == ["log.sqlite-wal"]
        ship_and_ingest(source, store, settings)
        store.expire_orphans(1 << 60)
        publisher = DeadLetterPublisher(store, source.log, source.consumer)
        assert publisher.publish() == 2
        assert {one.user_hash for one in read(source, REQUESTS)} == {alice, bob}
    assert files_with(SECRET_WORDS, settings.home) != []
    assert files_with("poison of nobody", kafka_broker.data) != []
    assert erase(settings, "alice") == 20
    for word in (SECRET_WORDS, alice):
        assert files_with(word, settings.home, kafka_broker.data) == []
    assert files_with(bob, settings.home) != []
    assert users(settings) == {bob}
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    elsewhere.home.mkdir()
    (elsewhere.home / "keys.json").write_bytes(settings.keys_path.read_bytes())
    elsewhere.keys_path.chmod(0o600)
    assert replay(elsewhere).dead_letters == 1
    assert users(elsewhere) == {bob}
    assert erase(settings, "alice") == 0


def read(source: Source, topic: str) -> list[LoggedResponse]:
    found = (one for part in source.log.partitions(topic) for one in source.log.read(topic, part, 0, 100))
    return [one for one in map(from_log, found) if isinstance(one, LoggedResponse)]


def test_who_was_erased_may_come_again(settings: Settings) -> None:
    with opened(settings) as (source, store, raters):
        alice = raters.user_hash("alice")
        say(source, alice, range(5), SECRET_WORDS)
        ship_and_ingest(source, store, settings)
        assert erase(settings, "alice") == 5  # through another process's log, which this one learns of
        assert users(settings) == set()
        say(source, alice, range(5, 8), "words again")
        ship_and_ingest(source, store, settings)
    assert users(settings) == {alice}
    assert erase(settings, "alice") == 3


def test_dead_letters_of_users_are_sealed_in_their_topic(settings: Settings) -> None:
    with opened(settings) as (source, store, raters):
        orphan = answer_and_vote(1, user=raters.user_hash("alice"))[1]
        source.log.append([to_log(orphan), NewRecord(FEEDBACK, "k", b"poison of nobody")])
        IngestWorker(source, store, settings.ingest).drain()
        store.expire_orphans(1 << 60)
        DeadLetterPublisher(store, source.log, source.consumer).publish()
        payload = to_log(orphan).payload
        lying = closing(open_kafka_log(settings.kafka))
        with lying as plain:
            kept = [one.payload for part in (0, 1) for one in plain.read(DEAD_LETTERS, part, 0, 9)]
        shown = [one.payload for part in (0, 1) for one in source.log.read(DEAD_LETTERS, part, 0, 9)]
        assert sorted(shown) == sorted([payload, b"poison of nobody"])
        assert payload not in kept and b"poison of nobody" in kept


def test_the_brokers_remove_the_key_itself(settings: Settings, kafka_broker: KafkaBroker) -> None:
    with opened(settings) as (source, store, raters):
        say(source, raters.user_hash("alice"), range(2), SECRET_WORDS)
        ship_and_ingest(source, store, settings)
        with closing(open_kafka_log(settings.kafka)) as plain:
            (key,) = plain.read(USER_KEYS, 0, 0, 9)
        folder = kafka_broker.data / f"{settings.kafka.topic_prefix}{USER_KEYS}-0"
        assert holding(key.payload, folder)
        assert erase(settings, "alice") == 2
        number = 100
        while holding(key.payload, folder):  # others come, and with them segments end and are cleaned
            say(source, raters.user_hash(f"user {number}"), range(number, number + 1), "words")
            ship_and_ingest(source, store, settings)
            number += 1
            threading.Event().wait(0.2)


def holding(content: bytes, folder: Path) -> bool:
    """Whether a file of a folder holds these bytes; one that goes meanwhile does not."""
    for path in folder.iterdir():
        try:
            if content in path.read_bytes():
                return True
        except FileNotFoundError:
            continue
    return False
