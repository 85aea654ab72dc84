"""Reading Kafka by offset, without a group: who reads keeps its offsets itself, beside what it made of the records."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from thumbwheel.bus.header_names import take_any_header_name
from thumbwheel.bus.kafka_client import RETRY_S, make_client, milliseconds, translated, unavailable
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import InvalidInput, LogUnavailable

_READ_BYTES = 8 << 20  # one `read` returns little more than this
_PAGE_RECORDS = 10_000
_POLL_S = 0.2
_AGAIN_S = 0.05
_METADATA_S = 30.0  # so late are partitions seen that were added


@dataclass(frozen=True, slots=True)
class _Page:
    """What one fetch brought, about a megabyte: all records with offsets from `start` to before `next`.

    `log_id` is the topic's, which another of its name has not.
    """

    log_id: str
    start: int
    next: int
    records: list[Any]

    def take(self, offset: int, limit: int) -> list[Any]:
        """Return at most `limit` records from `offset` on."""
        first = bisect_left(self.records, offset, key=lambda one: one.offset)
        return self.records[first : first + limit]


class KafkaReader:
    """A consumer of all partitions of the topics. For one thread at a time."""

    def __init__(self, settings: Kafka, options: dict[str, Any], names: dict[str, str]) -> None:
        """Connect, with the `options` of all clients, to read the topics that are called `names` at the broker.

        Raises:
            LogUnavailable: no broker answered, or a topic is missing.
        """
        self._timeout_s = settings.request_timeout_s
        self._names = names
        self._servers = settings.bootstrap_servers
        self._consumer = make_client(KafkaConsumer, options | _consumer_options(settings))
        take_any_header_name(self._consumer)
        try:
            with translated(settings.bootstrap_servers):
                # The client keeps up with the topics it was assigned, and goes on with them when it is assigned fewer.
                # What it does not keep up with it leaves out where it is asked for ends, and has to find out again.
                self._consumer.assign(self.places())
        except LogUnavailable:
            self.close()
            raise
        self._pages: dict[TopicPartition, _Page] = {}

    def places(self) -> list[TopicPartition]:
        """Return every partition of all topics, also of those added lately. Raises LogUnavailable for a missing topic.

        It takes half a minute until an added one is among them, if nobody asks for its `place`.
        """
        return [TopicPartition(name, number) for name in self._names.values() for number in self._numbers(name)]

    def identity(self, name: str, anew: bool = False) -> str:
        """Return the id of the topic `name` at the broker, as it was half a minute ago perhaps; `anew` asks for it."""
        if anew:
            self._consumer.topics()
        found = self._consumer._cluster.topic_id(name)
        return str(found) if found else ""

    def place(self, topic: str, partition: int) -> TopicPartition:
        """Return the place of a partition. Raises InvalidInput where there is none."""
        name = self._names.get(topic)
        if name is None or not self._has(name, partition):
            known = ", ".join(sorted(self._names))
            raise InvalidInput("topic", f"no partition {partition} of {topic!r}; there is {known}")
        return TopicPartition(name, partition)

    def ends(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets after the last records. Raises LogUnavailable when not all can be had in time."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return dict(self._consumer.end_offsets(list(places), timeout_ms=milliseconds(self._timeout_s)))
            except KeyError as error:  # how the client says that it does not know who leads some of them: it asks, too
                if time.monotonic() >= deadline:
                    raise unavailable(self._servers, "it does not tell where all partitions end") from error
                time.sleep(_AGAIN_S)

    def begin(self, place: TopicPartition) -> int:
        """Return the first offset that is left. Raises LogUnavailable when that can not be had."""
        found = self._consumer.beginning_offsets([place], timeout_ms=milliseconds(self._timeout_s))
        if place not in found:
            raise unavailable(self._servers, "it does not tell where a partition begins")
        return int(found[place])

    def read(self, place: TopicPartition, offset: int, limit: int) -> list[Any]:
        """Return the records from `offset` on, at most `limit` and few more bytes than `_READ_BYTES`.

        Up to the end as it was when the first of them was fetched: the broker is not asked for what is here already.
        """
        found: list[Any] = []
        end, size = None, 0
        while len(found) < limit and size < _READ_BYTES:
            page = self._held(place, offset)
            if page is None:
                end = self.ends([place])[place] if end is None else end
                if offset >= end:
                    break
                page = self._pages[place] = self._fetch(place, offset)
            new = page.take(offset, limit - len(found))
            size += sum(len(one.value or b"") for one in new)
            found += new
            offset = page.next
        return found

    def close(self) -> None:
        """End the connection and its thread."""
        self._consumer.close(autocommit=False)

    def _held(self, place: TopicPartition, offset: int) -> _Page | None:
        """The page that was fetched last, where it has `offset`."""
        page = self._pages.get(place)
        if page is None or page.log_id != self.identity(place.topic):
            return None
        return page if page.start <= offset < page.next else None

    def _fetch(self, place: TopicPartition, offset: int) -> _Page:
        """Fetch what comes at `offset`, which is below the end."""
        log_id = self.identity(place.topic)
        # One place at a time: a consumer of several, paused but for one, was seen to stall.
        self._consumer.assign([place])
        self._consumer.seek(place, offset)
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            polled = self._consumer.poll(milliseconds(_POLL_S), max_records=_PAGE_RECORDS).get(place, [])
            following = self._consumer.position(place)
            if following is not None and following > offset:
                # Where retention has dropped `offset`, reading goes on at what is left; who reads asks for `begin`.
                return _Page(log_id, offset, following, polled)
        raise unavailable(self._servers, "it does not send the records that it has")

    def _has(self, name: str, partition: int) -> bool:
        if partition not in self._numbers(name):
            self._consumer.topics()  # asks the broker: a worker may be assigned what was added a moment ago
        return partition in self._numbers(name)

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
        "metadata_max_age_ms": milliseconds(_METADATA_S),
        "max_partition_fetch_bytes": max(1 << 20, settings.max_record_bytes),
        "fetch_max_bytes": max(_READ_BYTES, settings.max_record_bytes),
    }
