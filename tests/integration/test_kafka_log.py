"""The Kafka log on a real broker that is away, killed, frozen, or lacks the topics."""

from __future__ import annotations

import gc
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka_server import KafkaBroker

from thumbwheel.bus.kafka_client import administrator
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_reader import KafkaReader
from thumbwheel.bus.kafka_topics import TopicState, create_topics, describe_topics
from thumbwheel.bus.port import (
    DEAD_LETTERS,
    FEEDBACK,
    REQUESTS,
    TOPICS,
    USER_KEYS,
    EventLog,
    NewRecord,
    StoredRecord,
    partition_of,
)
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import Conflict, InvalidInput, LogUnavailable

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
DISTURBANCES = 3
CALLERS = 4
PARTITIONS = 3

Open = Callable[[], EventLog]


@pytest.fixture
def settings(kafka_broker: KafkaBroker) -> Kafka:
    return Kafka(
        bootstrap_servers=kafka_broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=PARTITIONS,
        replication=1,
        request_timeout_s=2.0,
        ack_timeout_s=4.0,
    )


@pytest.fixture
def open_log(settings: Kafka) -> Iterator[Open]:
    """Open a log; in the end all are closed, and no thread of a client, failed or not, is left."""
    before = set(threading.enumerate())
    opened: list[EventLog] = []

    def open_one() -> EventLog:
        opened.append(open_kafka_log(settings))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(30)
    assert [thread.name for thread in left if thread.is_alive()] == []
    gc.collect()


def everything(log: EventLog, topic: str = REQUESTS) -> list[StoredRecord]:
    return [record for partition in log.partitions(topic) for record in log.read(topic, partition, 0, 1_000_000)]


def persist(log: EventLog, records: list[NewRecord]) -> None:
    """Append, again and again until it is acknowledged."""
    while True:
        try:
            return log.append(records)
        except LogUnavailable as error:
            time.sleep(error.retry_after_s)


def read_all(log: EventLog) -> list[StoredRecord]:
    while True:
        try:
            return everything(log)
        except LogUnavailable as error:
            time.sleep(error.retry_after_s)


@pytest.mark.slow
def test_a_broker_that_is_away_at_the_start_is_waited_for(
    kafka_broker: KafkaBroker, settings: Kafka, open_log: Open
) -> None:
    create_topics(settings)
    kafka_broker.kill()
    log = open_log()
    log.wait(0)
    with pytest.raises(LogUnavailable, match=r"KafkaTimeoutError; see that the brokers of kafka\.bootstrap_servers"):
        log.append([NewRecord(REQUESTS, "k", b"1")])
    with pytest.raises(LogUnavailable, match="a moment ago") as refused:
        log.append([NewRecord(REQUESTS, "k", b"2")])
    assert refused.value.retry_after_s == 1.0
    kafka_broker.start()
    persist(log, [NewRecord(REQUESTS, "k", b"3")])
    assert [record.payload for record in read_all(log)] == [b"3"]


def kill(broker: KafkaBroker, _settings: Kafka) -> None:
    broker.kill()
    broker.start()


def freeze(broker: KafkaBroker, settings: Kafka) -> None:
    broker.pause()
    time.sleep(1.2 * settings.ack_timeout_s)
    broker.resume()


@pytest.mark.slow
@pytest.mark.parametrize("disturb", [kill, freeze])
def test_what_was_acknowledged_is_there_however_often_the_broker_is_disturbed(
    kafka_broker: KafkaBroker, settings: Kafka, open_log: Open, disturb: Callable[[KafkaBroker, Kafka], None]
) -> None:
    create_topics(settings)
    log, chance = open_log(), random.Random(7)
    acknowledged: dict[str, list[bytes]] = {f"key-{caller}": [] for caller in range(CALLERS)}
    refusals: list[LogUnavailable] = []
    progress, stop = threading.Semaphore(0), threading.Event()

    def call(key: str) -> None:
        number = 0
        while not stop.is_set():
            pair = [b"%d" % number, b"%d" % (number + 1)]
            try:
                log.append([NewRecord(REQUESTS, key, payload) for payload in pair])
            except LogUnavailable as error:
                refusals.append(error)
                time.sleep(error.retry_after_s)
                continue
            acknowledged[key] += pair
            number += 2
            progress.release()

    callers = [threading.Thread(target=call, args=(key,)) for key in acknowledged]
    for caller in callers:
        caller.start()
    for _ in range(DISTURBANCES):
        for _ in range(chance.randrange(50, 150)):
            assert progress.acquire(timeout=120)
        disturb(kafka_broker, settings)
    assert progress.acquire(timeout=120)
    stop.set()
    for caller in callers:
        caller.join()
    found = read_all(log)
    assert refusals
    for key, expected in acknowledged.items():
        payloads = [record.payload for record in found if record.key == key]
        assert list(dict.fromkeys(payloads))[: len(expected)] == expected
    assert {record.key: record.partition for record in everything(open_log())}.items() == {
        (record.key, record.partition) for record in found
    }


@pytest.mark.slow
def test_a_frozen_broker_is_an_error_in_time_and_the_log_goes_on_after_it(
    kafka_broker: KafkaBroker, settings: Kafka, open_log: Open
) -> None:
    create_topics(settings)
    log = open_log()
    log.append([NewRecord(REQUESTS, "k", b"1")])
    assert len(everything(log)) == 1
    kafka_broker.pause()
    try:
        with pytest.raises(LogUnavailable, match="KafkaTimeoutError"):
            log.append([NewRecord(REQUESTS, "k", b"2")])
        with pytest.raises(LogUnavailable, match="KafkaTimeoutError"):
            log.end_offset(REQUESTS, 0)
        log.wait(0.1)
    finally:
        kafka_broker.resume()
    persist(log, [NewRecord(REQUESTS, "k", b"3")])
    payloads = [record.payload for record in read_all(log)]
    assert payloads[0] == b"1"
    assert payloads[-1] == b"3"
    assert set(payloads) <= {b"1", b"2", b"3"}  # the refused one may be there


def test_a_record_of_the_largest_size_is_taken_and_a_larger_one_is_refused_whole(
    settings: Kafka, open_log: Open
) -> None:
    small = settings.model_copy(update={"max_record_bytes": 1 << 16})
    create_topics(small)
    log = open_kafka_log(small)
    try:
        headers = {"name": b"value" * 10}
        room = small.max_record_bytes - 128 - len("k") - len("name") - 50 - 10
        with pytest.raises(InvalidInput, match=r"payload: 65537 bytes are more than kafka\.max_record_bytes, 65536"):
            log.append([NewRecord(REQUESTS, "k", b"x"), NewRecord(REQUESTS, "k", bytes(room + 1), headers)])
        assert everything(log) == []
        log.append([NewRecord(REQUESTS, "k", random.Random(1).randbytes(room), headers)] * 5)
        assert [len(record.payload) for record in everything(log)] == [room] * 5
    finally:
        log.close()


def test_many_records_are_read_in_pages(settings: Kafka, open_log: Open) -> None:
    create_topics(settings)
    log = open_log()
    log.append([NewRecord(REQUESTS, "k", b"%d" % number) for number in range(2_000)])
    log.append([NewRecord(FEEDBACK, "k", b"%d" % number) for number in range(300)])
    (partition,) = {record.partition for record in everything(log)}
    pages = {REQUESTS: [0], FEEDBACK: [0]}
    seen: dict[str, list[bytes]] = {REQUESTS: [], FEEDBACK: []}
    while any(offsets[-1] < log.end_offset(topic, partition) for topic, offsets in pages.items()):
        for topic, offsets in pages.items():
            page = log.read(topic, partition, offsets[-1], 170)
            assert len(page) <= 170
            seen[topic] += [record.payload for record in page]
            offsets.append(offsets[-1] + len(page))
    assert seen[REQUESTS] == [b"%d" % number for number in range(2_000)]
    assert seen[FEEDBACK] == [b"%d" % number for number in range(300)]
    assert log.read(REQUESTS, partition, 1_990, 100)[0].payload == b"1990"
    assert log.read(REQUESTS, partition, 5, 1)[0].payload == b"5"


def test_reading_topics_in_turn_is_one_connections_work(
    settings: Kafka, open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[KafkaReader] = []

    class Counted(KafkaReader):
        def __init__(self, settings: Kafka, options: dict[str, Any], names: dict[str, str]) -> None:
            super().__init__(settings, options, names)
            made.append(self)

    monkeypatch.setattr("thumbwheel.bus.kafka_log.KafkaReader", Counted)
    create_topics(settings)
    log = open_log()
    for turn in range(10):
        log.append([NewRecord(topic, f"{turn}", b"x") for topic in TOPICS])
        assert [len(everything(log, topic)) for topic in TOPICS] == [turn + 1] * 2
        log.wait(0.3)
    assert len(made) == 1


def test_partitions_that_are_added_are_read_without_a_new_connection(settings: Kafka, open_log: Open) -> None:
    create_topics(settings)
    log = open_log()
    assert log.partitions(REQUESTS) == [0, 1, 2]
    more = settings.model_copy(update={"partitions": PARTITIONS + 1})
    with administrator(settings) as admin:
        admin.create_partitions({settings.topic_prefix + REQUESTS: more.partitions})
    assert log.end_offset(REQUESTS, PARTITIONS) == 0
    assert log.partitions(REQUESTS) == [0, 1, 2, 3]
    other = open_log()  # whose producer knows of it
    other.append([NewRecord(REQUESTS, "a", b"x")])
    assert [record.partition for record in everything(log)] == [partition_of("a", more.partitions)] == [3]
    assert log.partitions(FEEDBACK) == [0, 1, 2]


def test_missing_topics_are_named_with_their_cure(settings: Kafka, open_log: Open) -> None:
    log = open_log()
    with pytest.raises(LogUnavailable, match="thumbwheel topics create"):
        log.partitions(REQUESTS)
    with pytest.raises(LogUnavailable):
        log.append([NewRecord(REQUESTS, "k", b"")])


def test_topics_are_made_once(settings: Kafka) -> None:
    names = [settings.topic_prefix + topic for topic in (REQUESTS, FEEDBACK, DEAD_LETTERS, USER_KEYS)]
    wanted = [PARTITIONS] * 3 + [1]
    assert describe_topics(settings) == [
        TopicState(name, 0, 0, 0, number) for name, number in zip(names, wanted, strict=True)
    ]
    assert create_topics(settings) == names
    assert create_topics(settings) == []
    assert describe_topics(settings) == [
        TopicState(name, number, 1, 1, number) for name, number in zip(names, wanted, strict=True)
    ]


def test_more_copies_than_brokers_are_refused(settings: Kafka) -> None:
    with pytest.raises(Conflict, match="InvalidReplicationFactor"):
        create_topics(settings.model_copy(update={"replication": 3}))


def test_a_closed_log_refuses(settings: Kafka, open_log: Open) -> None:
    create_topics(settings)
    log = open_log()
    log.append([NewRecord(REQUESTS, "k", b"1")])
    log.close()
    with pytest.raises(LogUnavailable, match="closed"):
        log.append([NewRecord(REQUESTS, "k", b"2")])
    with pytest.raises(LogUnavailable, match="closed"):
        log.end_offset(REQUESTS, 0)
