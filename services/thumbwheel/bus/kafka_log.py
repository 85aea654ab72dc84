"""The event log in Kafka: acks=all from an idempotent producer; read by offset, without a consumer group.

A client that failed is not lent again: its next record could fail at once, or wait behind what nobody waits for any
more. The next call makes a new one; for a second after a failure it does not even try, so that callers don't queue up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from thumbwheel.bus.kafka_client import (
    RETRY_S,
    Kept,
    client_options,
    make_client,
    milliseconds,
    topic_names,
    translated,
)
from thumbwheel.bus.kafka_reader import KafkaReader
from thumbwheel.bus.port import USER_KEYS, EventLog, NewRecord, StoredRecord, partition_of
from thumbwheel.bus.record_size import demand_size
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import Conflict, InvalidInput, LogUnavailable

_BATCH_BYTES = 256 << 10
_LOOK_S = 0.2  # how often `wait` looks for what other processes appended


def open_kafka_log(settings: Kafka) -> EventLog:
    """Open the log. Connects when it is first used, so that a broker that is away keeps nothing from starting.

    Raises:
        InvalidConfig: the password can not be read, or kafka-python lacks its fast checksums.
    """
    return KafkaLog(settings)


class KafkaLog:
    """An `EventLog` in Kafka. Any thread may append, at once with others; reads take turns."""

    def __init__(self, settings: Kafka) -> None:
        """See `open_kafka_log`."""
        self._settings = settings
        self._names = topic_names(settings)
        options = client_options(settings) | {"metrics_enabled": False, "allow_auto_create_topics": False}
        self._producer = Kept(lambda: _producer(settings, options), _discard_producer)
        self._consumer = Kept(lambda: KafkaReader(settings, options, self._names), KafkaReader.close)
        self._consuming = threading.Lock()
        self._appending = 0
        self._changed = threading.Condition()
        self._seen = threading.local()
        self._closed = False

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append `records`; return when all in-step copies have them.

        Raises:
            InvalidInput: a topic is unknown, or a record is larger than `kafka.max_record_bytes`; nothing was appended.
            LogUnavailable: not all were acknowledged within `kafka.ack_timeout_s`. Some may be in the log.
        """
        for record in records:
            self._check(record)
        if not records:
            return
        with self._in_flight(), self._producer.using() as producer, translated(self._settings.bootstrap_servers):
            self._send(producer, records)
        with self._changed:
            self._changed.notify_all()

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """Read at most `limit` records (and about 8 MiB) from `offset` on. Raises LogUnavailable."""
        with self._reading() as reader:
            found = reader.read(reader.place(topic, partition), offset, limit)
        return [_stored(topic, partition, one) for one in found]

    def partitions(self, topic: str) -> Sequence[int]:
        """Return the partitions of a topic; added ones are among them half a minute later. Raises LogUnavailable."""
        if topic not in self._names:
            return []
        with self._reading() as reader:
            return sorted(one.partition for one in reader.places() if one.topic == self._names[topic])

    def identity(self, topic: str, anew: bool = False) -> str:
        """Return the id that the cluster gave the topic; empty before Kafka 2.8. Raises LogUnavailable."""
        with self._reading() as reader:
            return reader.identity(self._names.get(topic, ""), anew)

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next appended record will have, at least. Raises LogUnavailable."""
        with self._reading() as reader:
            place = reader.place(topic, partition)
            return reader.ends([place])[place]

    def begin_offset(self, topic: str, partition: int) -> int:
        """Return the first offset that retention has left. Raises LogUnavailable."""
        with self._reading() as reader:
            return reader.begin(reader.place(topic, partition))

    def wait(self, timeout_s: float) -> None:
        """Return when something may have been appended since this thread's last call, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self._news():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            with self._changed:
                self._changed.wait(min(left, _LOOK_S))

    def erase(self, keys: Sequence[str], before_us: int | None = None) -> int:
        """Refuse: Kafka drops records by age, never by key. Raises Conflict."""
        raise Conflict("Kafka can not remove single records: they are there until the topic's retention.ms has passed")

    def trim(self, topic: str, partition: int, before: int) -> int:
        """Keep everything: how long is the topic's `retention.ms`. Return 0."""
        return 0

    def fullness(self) -> float:
        """Return 0: the log has no bound of its own."""
        return 0.0

    def close(self) -> None:
        """Refuse new calls, let appends in flight finish, end the clients' threads."""
        with self._changed:
            self._closed = True
            while self._appending:
                self._changed.wait()
        self._producer.close()
        with self._consuming:
            self._consumer.close()

    # --- inside ---------------------------------------------------------------------------------

    def _check(self, record: NewRecord) -> None:
        if record.topic not in self._names:
            raise InvalidInput("topic", f"no topic {record.topic!r}; there is {', '.join(sorted(self._names))}")
        demand_size(record, self._settings.max_record_bytes)

    def _send(self, producer: KafkaProducer, records: Sequence[NewRecord]) -> None:
        counts = {topic: len(producer.partitions_for(self._names[topic])) for topic in {one.topic for one in records}}
        now_ms = time.time_ns() // 1_000_000
        futures = [
            producer.send(
                self._names[record.topic],
                key=record.key.encode(),
                value=_value(record),
                headers=list(record.headers.items()),
                partition=partition_of(record.key, counts[record.topic]),
                timestamp_ms=now_ms,
            )
            for record in records
        ]
        # The producer itself gives up first; the second more is for a producer whose thread has died.
        deadline = time.monotonic() + self._settings.ack_timeout_s + 1.0
        for future in futures:
            future.get(timeout=max(0.0, deadline - time.monotonic()))

    @contextmanager
    def _in_flight(self) -> Iterator[None]:
        with self._changed:
            self._demand_open()
            self._appending += 1
        try:
            yield
        finally:
            with self._changed:
                self._appending -= 1
                self._changed.notify_all()

    @contextmanager
    def _reading(self) -> Iterator[KafkaReader]:
        with self._consuming:
            self._demand_open()
            with self._consumer.using() as reader, translated(self._settings.bootstrap_servers):
                yield reader

    def _demand_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the event log is closed: the process is stopping", RETRY_S)

    def _news(self) -> bool:
        """Say whether an end has moved since this thread asked last. A broker that is away has no news."""
        try:
            with self._reading() as reader:
                ends = reader.ends(reader.places())
        except LogUnavailable:
            return False
        before = getattr(self._seen, "ends", None)
        self._seen.ends = ends
        return bool(before != ends)


def _stored(topic: str, partition: int, found: Any) -> StoredRecord:
    """Return a record as it came. Others may have written it: a key or a header without a value is an empty one."""
    return StoredRecord(
        topic,
        partition,
        found.offset,
        (found.key or b"").decode(errors="replace"),
        found.value or b"",
        {name: value or b"" for name, value in found.headers},
        found.timestamp * 1_000,
    )


def _value(record: NewRecord) -> bytes | None:
    """Return what Kafka keeps of a record: in a compacted topic nothing (null) removes what was under its key."""
    return None if record.topic == USER_KEYS and not record.payload else record.payload


def _producer(settings: Kafka, options: dict[str, Any]) -> KafkaProducer:
    return make_client(
        KafkaProducer,
        options
        | {
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,  # whoever appends waits for it; batches form while others are on their way
            "batch_size": min(_BATCH_BYTES, settings.max_record_bytes),
            "max_request_size": settings.max_record_bytes + _BATCH_BYTES,
            "max_block_ms": milliseconds(settings.request_timeout_s),
            "delivery_timeout_ms": milliseconds(settings.ack_timeout_s),
        },
    )


def _discard_producer(producer: KafkaProducer) -> None:
    """End a producer without delivering what is left in it: nobody waits for that any more."""
    # `close` alone would deliver it first, or raise and leave the thread running when it can not.
    producer._sender.force_close()
    with suppress(KafkaError):
        producer.close(timeout=1.0)
