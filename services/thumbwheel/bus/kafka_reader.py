"""Reading Kafka by offset, without a group: who reads keeps its offsets itself, beside what it made of the records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from thumbwheel.bus.kafka_client import RETRY_S, make_client, milliseconds, translated
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import InvalidInput, LogUnavailable

_READ_BYTES = 8 << 20  # one `read` returns little more than this
_POLL_S = 0.2


class KafkaReader:
    """A consumer of all partitions of the topics. For one thread at a time."""

    def __init__(self, settings: Kafka, options: dict[str, Any], names: dict[str, str]) -> None:
        """Connect, with the `options` of all clients, to read the topics that are called `names` at the broker.

        Raises:
            LogUnavailable: no broker answered, or a topic is missing.
        """
        self._timeout_s = settings.request_timeout_s
        self._names = names
        self._consumer = make_client(KafkaConsumer, options | _consumer_options(settings))
        try:
            with translated():
                self.places = [
                    TopicPartition(name, number) for name in names.values() for number in self._numbers(name)
                ]
                self._consumer.assign(self.places)
                self._consumer.pause(*self.places)
        except LogUnavailable:
            self.close()
            raise
        self._positions: dict[TopicPartition, int] = {}

    def place(self, topic: str, partition: int) -> TopicPartition:
        """Return the place of a partition. Raises InvalidInput where there is none."""
        place = TopicPartition(self._names.get(topic, ""), partition)
        if place not in self.places:
            known = ", ".join(sorted(self._names))
            raise InvalidInput("topic", f"no partition {partition} of {topic!r}; there is {known}")
        return place

    def ends(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets after the last records."""
        return dict(self._consumer.end_offsets(list(places), timeout_ms=milliseconds(self._timeout_s)))

    def read(self, place: TopicPartition, offset: int, limit: int) -> list[Any]:
        """Return the records from `offset` on, at most `limit` and few more bytes than `_READ_BYTES`."""
        end = self.ends([place])[place]
        if offset >= end or limit < 1:
            return []
        if self._positions.get(place) != offset:
            self._consumer.seek(place, offset)
        self._consumer.resume(place)  # all others stay paused, what was fetched of them is kept
        try:
            return self._read(place, offset, limit, end)
        finally:
            self._consumer.pause(place)

    def close(self) -> None:
        """End the connection and its thread."""
        self._consumer.close(autocommit=False)

    def _read(self, place: TopicPartition, offset: int, limit: int, end: int) -> list[Any]:
        found: list[Any] = []
        size = 0
        deadline = time.monotonic() + self._timeout_s
        while offset < end and len(found) < limit and size < _READ_BYTES and time.monotonic() < deadline:
            polled = self._consumer.poll(milliseconds(_POLL_S), max_records=limit - len(found)).get(place, [])
            # Where retention dropped `offset`, reading starts anew at what is left: never before it.
            new = [one for one in polled if one.offset >= offset]
            size += sum(len(one.value) for one in new)
            found += new
            offset = self._consumer.position(place)
        self._positions[place] = offset
        if not found and offset < end:
            raise LogUnavailable("Kafka is unavailable: it sent no records that it has", RETRY_S)
        return found

    def _numbers(self, name: str) -> list[int]:
        numbers = sorted(self._consumer.partitions_for_topic(name))
        if not numbers:
            raise LogUnavailable(f"Kafka has no topic {name}; `thumbwheel topics create` makes it", RETRY_S)
        return numbers


def _consumer_options(settings: Kafka) -> dict[str, Any]:
    return {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 100,
        "max_partition_fetch_bytes": max(1 << 20, settings.max_record_bytes),
        "fetch_max_bytes": max(_READ_BYTES, settings.max_record_bytes),
    }
