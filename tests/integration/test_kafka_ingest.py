"""From the Kafka log into the store: what a relay shipped twice counts once, a restarted worker goes on."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from answered import answer_and_vote
from foreign_records import FORMS, NO_TEXT, send_foreign
from kafka import TopicPartition
from kafka_server import KafkaBroker
from sealed_logs import SECRET, key_table, sealed
from sqlalchemy import func, select

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_client import administrator
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import FEEDBACK, REQUESTS, TOPICS, USER_KEYS, NewRecord
from thumbwheel.bus.sealed_log import SealedLog
from thumbwheel.bus.sealing import Wrapping
from thumbwheel.bus.source import Source, places
from thumbwheel.config.settings import Ingest, Kafka
from thumbwheel.database.engine import connect
from thumbwheel.database.schema import feedback_events, responses
from thumbwheel.errors import Unavailable
from thumbwheel.ingest.worker import IngestWorker, Step
from thumbwheel.store.sql import open_store

ANSWERS = 300
DAY_US = 86_400_000_000


def test_what_was_shipped_twice_is_stored_once(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", partitions=3, replication=1
    )
    create_topics(settings)
    log = open_kafka_log(settings)
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    store = open_store(url)
    shipped = [to_log(record) for number in range(ANSWERS) for record in answer_and_vote(number)]
    log.append(shipped)
    log.append(shipped[: ANSWERS // 2])
    log.append([NewRecord(FEEDBACK, "r1", b"poison")])
    worker = IngestWorker(Source(log), store, Ingest(batch=70))
    assert worker.run_once() > 0
    again = IngestWorker(Source(log), store, Ingest(batch=70))
    again.drain()
    assert again.backlog() == 0
    with connect(url).connect() as connection:
        stored = [connection.scalar(select(func.count()).select_from(table)) for table in (responses, feedback_events)]
    assert stored == [ANSWERS, ANSWERS]
    assert store.count_dead_letters() == 1
    assert store.count_orphans() == 0
    store.close()
    log.close()


def test_what_retention_took_before_it_was_read_is_counted(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", partitions=1, replication=1
    )
    create_topics(settings)
    log = open_kafka_log(settings)
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    log.append([to_log(answer_and_vote(number)[0]) for number in range(50)])
    assert log.begin_offset(REQUESTS, 0) == 0
    with administrator(settings) as admin:
        admin.delete_records({TopicPartition(settings.topic_prefix + REQUESTS, 0): 20})
    assert log.begin_offset(REQUESTS, 0) == 20
    steps: list[Step] = []
    IngestWorker(Source(log), store, Ingest(), steps.append).drain()
    assert [(one.topic, one.records, one.dropped) for one in steps] == [(REQUESTS, 30, 20)]
    store.close()
    log.close()


def test_a_header_whose_name_is_no_text_makes_a_dead_letter_and_stops_nobody(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", partitions=1, replication=1
    )
    create_topics(settings)
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_kafka_log(settings)))
        store = stack.enter_context(closing(open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")))
        log.append([to_log(record) for record in answer_and_vote(0)])
        send_foreign(settings, b"\0raw", FEEDBACK, 0)
        log.append([to_log(record) for record in answer_and_vote(1)])
        IngestWorker(Source(log), store, Ingest()).drain()
        assert [store.response(f"r{number}") is not None for number in range(3)] == [True, True, False]
        assert (store.watermark(), store.count_orphans()) == (2, 0)
        found = {letter.offset: letter for letter in store.dead_letters(100)}
        assert sorted(found) == list(range(1, 1 + len(FORMS)))
        named = found[1 + next(at for at, (_, headers) in enumerate(FORMS) if NO_TEXT in dict(headers))]
        assert (named.topic, named.partition, named.payload) == (FEEDBACK, 0, b"\0raw")
        assert "not UTF-8" in named.reason
        assert "key 'k'" in named.reason


def test_keys_go_once_kafka_has_dropped_the_events_under_them(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", partitions=2, replication=1
    )
    create_topics(settings)
    now_us = time.time_ns() // 1_000
    with ExitStack() as stack:

        def opened(days_ago: int, name: str = "store") -> SealedLog:
            table = key_table(f"sqlite:///{tmp_path / name}.sqlite")
            log = SealedLog(open_kafka_log(settings), Wrapping(SECRET), table, lambda: now_us - days_ago * DAY_US)
            return stack.enter_context(closing(log))

        earlier, now = opened(60), opened(0)
        earlier.append([to_log(one) for at in range(6) for one in answer_and_vote(at, user=f"u{at % 3}")])
        with administrator(settings) as admin:
            ends = {place: earlier.end_offset(*place) for place in places(earlier)}
            admin.delete_records(
                {TopicPartition(settings.topic_prefix + at[0], at[1]): end for at, end in ends.items()}
            )
        now.append([to_log(one) for at in range(6, 8) for one in answer_and_vote(at, user="u0")])
        assert [now.drop_past_keys(), now.drop_past_keys()] == [2, 0]
        store = stack.enter_context(closing(open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")))
        IngestWorker(Source(now), store, Ingest()).drain()
        assert [bool(store.response(f"r{at}")) for at in range(8)] == [False] * 6 + [True] * 2
        assert opened(0, "restored").removed_users() == set()  # nobody was erased


@pytest.mark.parametrize("running", [True, False])
def test_topics_that_were_made_anew_are_read_from_their_start(
    kafka_broker: KafkaBroker, tmp_path: Path, running: bool
) -> None:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", partitions=2, replication=1
    )
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with ExitStack() as stack:

        def opened() -> SealedLog:
            return stack.enter_context(closing(sealed(open_kafka_log(settings), url)))

        store, log = stack.enter_context(closing(open_store(url))), opened()
        worker = IngestWorker(Source(log), store, Ingest(batch=7))
        for numbers in (range(40), range(40, 140)):
            create_topics(settings)
            sender = opened()
            sender.append([to_log(one) for at in numbers for one in answer_and_vote(at, user=f"u{at % 30}")])
            reading = worker if running else IngestWorker(Source(opened()), store, Ingest())
            until_read(reading)
            assert reading.backlog() == 0
            assert len([at for at in range(140) if store.response(f"r{at}")]) == numbers.stop
            assert (store.count_orphans(), store.count_dead_letters()) == (0, 0)
            with administrator(settings) as admin:
                admin.delete_topics([settings.topic_prefix + topic for topic in (*TOPICS, USER_KEYS)])


def until_read(worker: IngestWorker) -> None:
    """Read all there is; a reader that meets deleted topics asks anew."""
    while True:
        try:
            worker.drain()
        except Unavailable as error:
            time.sleep(error.retry_after_s)
        else:
            return
