"""From Kafka into a second, empty database: the same rows; and dead letters in a topic of their own."""

from __future__ import annotations

import gc
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from answered import answer_and_vote
from kafka_server import KafkaBroker
from sqlalchemy import select

from thumbwheel.app.dead_letters import retry
from thumbwheel.app.publishing import publishing_dead_letters
from thumbwheel.app.replay import replay
from thumbwheel.app.storage import open_source
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import DEAD_LETTERS, FEEDBACK, EventLog, NewRecord, StoredRecord
from thumbwheel.config.settings import Ingest, Settings
from thumbwheel.database import schema
from thumbwheel.database.engine import connect
from thumbwheel.errors import Conflict
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.ingest.dead_letter_topic import DeadLetterPublisher
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Retraction
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics

ANSWERS = 200

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")


@pytest.fixture
def settings(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Settings]:
    kafka = {
        "bootstrap_servers": kafka_broker.bootstrap,
        "topic_prefix": f"{uuid.uuid4()}.",
        "partitions": 3,
        "replication": 1,
        "max_record_bytes": 1 << 16,
    }
    made = Settings.model_validate({"home": tmp_path / "home", "log": {"kind": "kafka"}, "kafka": kafka})
    made.home.mkdir()
    load_or_make_keys(made.keys_path, 1)
    create_topics(made.kafka)
    yield made
    gc.collect()


def fill(log: EventLog) -> None:
    """Answers, votes, some taken back, some twice, one without its answer, and poison."""
    made = [answer_and_vote(number) for number in range(ANSWERS)]
    records = [to_log(record) for pair in made for record in pair]
    log.append(records)
    log.append(records[:50])
    taken = [Retraction(f"t-{one.feedback_id}", one.response_id, "u", "", one.kind, one.time_us + 1) for _, one in made]
    log.append([to_log(one) for one in taken[:20]])
    _, orphan = answer_and_vote(ANSWERS + 1)
    log.append([to_log(orphan), NewRecord(FEEDBACK, "r1", b"poison"), NewRecord(FEEDBACK, "r2", b"")])


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything ingest has written but the order in which it did."""
    found = {}
    tables = schema.responses, schema.feedback_events, schema.current_votes, schema.orphans, schema.dead_letters
    with connect(url).connect() as connection:
        for table in (*tables, schema.consumer_offsets):
            columns = [one for one in table.c if one.name not in {"seq", "id"}]
            found[table.name] = sorted(tuple(row) for row in connection.execute(select(*columns)))
    return found


def ingest(settings: Settings) -> None:
    """Read all there is into the configured store, as the service does."""
    with ExitStack() as stack:
        source = open_source(settings, stack)
        store = open_store(settings.database_url)
        IngestWorker(source, store, Ingest(batch=37)).drain()
        store.close()


def test_a_replay_makes_the_same_rows(settings: Settings, tmp_path: Path) -> None:
    with ExitStack() as stack:
        fill(open_source(settings, stack).log)
    ingest(settings)
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    elsewhere.home.mkdir()
    shutil.copy(settings.keys_path, elsewhere.keys_path)  # or users' events could not be read
    done = replay(elsewhere)
    expected = rows(settings.database_url)
    assert rows(elsewhere.database_url) == expected
    assert [len(expected[name]) for name in ("responses", "feedback_events", "current_votes")] == [
        ANSWERS,
        ANSWERS + 20,
        ANSWERS,
    ]
    assert (done.records, done.dead_letters, done.orphan_votes, done.gone) == (2 * ANSWERS + 50 + 20 + 3, 2, 1, ())
    with pytest.raises(Conflict, match="a replay needs an empty one"):
        replay(elsewhere)
    ingest(elsewhere)  # the service goes on behind what was replayed, and adds nothing
    assert rows(elsewhere.database_url) == expected


def published(log: EventLog) -> list[StoredRecord]:
    found = [one for part in log.partitions(DEAD_LETTERS) for one in log.read(DEAD_LETTERS, part, 0, 100)]
    return sorted(found, key=lambda one: int(one.headers["number"]))


def test_dead_letters_go_to_their_topic_each_once(settings: Settings) -> None:
    with ExitStack() as stack:
        source = open_source(settings, stack)
        store = open_store(settings.database_url)
        stack.callback(store.close)
        fill(source.log)
        worker = IngestWorker(source, store, Ingest())
        worker.drain()
        metrics = Metrics()
        with publishing_dead_letters(source, store, metrics.ingest):
            while (metrics.registry.get_sample_value("thumbwheel_dead_letters_published_total") or 0) < 2:
                threading.Event().wait(0.05)
        letters = store.dead_letters_from(0, 10)
        found = published(source.log)
        assert sorted((one.payload, one.key) for one in found) == sorted(
            (one.payload, f"{one.topic}/{one.partition}/{one.offset}") for one in letters
        )
        assert {one.headers["topic"] for one in found} == {FEEDBACK.encode()}
        assert all(b"thumbwheel-schema" in one.headers["reason"] for one in found)
        # a record as large as the log takes, whose headers make it larger than that
        room = settings.kafka.max_record_bytes - 128 - len("r3")
        source.log.append([NewRecord(FEEDBACK, "r3", bytes(room))])
        worker.drain()
        again = DeadLetterPublisher(store, source.log, source.consumer)
        assert [again.publish(), again.publish()] == [1, 0]
        assert len(published(source.log)) == 3
        assert published(source.log)[-1].payload == b""
        assert published(source.log)[-1].headers["payload-left-out-bytes"] == str(room).encode()
        assert worker.backlog() == 0  # the topic is for others


def test_a_dead_letter_goes_back_to_kafka_from_a_home_whose_outbox_nobody_ships(settings: Settings) -> None:
    answer, vote = answer_and_vote(1)
    with ExitStack() as stack:
        source = open_source(settings, stack)
        store = stack.enter_context(closing(open_store(settings.database_url)))
        worker = IngestWorker(source, store, Ingest(orphan_max_age_s=1), clock=lambda: vote.time_us + 10_000_000)
        source.log.append([to_log(vote)])
        worker.drain()
        assert worker.expire_orphans() == 1
        source.log.append([to_log(answer)])
        assert [one.problem for one in retry(settings, [])] == [""]
        assert source.unshipped() == 0
        worker.drain()
        assert store.current_vote("r1", "u", vote.kind) is not None
        assert store.count_dead_letters() == 0
