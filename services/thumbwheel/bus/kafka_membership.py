"""A worker's place among those that share the partitions of the topics: a member of a consumer group.

The group says who should work on what, and no more. What was read is kept by offsets beside the rows, moved by
compare-and-set: for as long as two members believe that a partition is theirs, one of them is refused, and nothing is
lost or doubled. So a member may go on while partitions are being shared out anew.

A member that has not been heard by the group for longer than its session works on nothing until it has joined again:
its partitions are others' by now. The client's callbacks run on its network thread; they only pause what was assigned,
since records are read elsewhere, by offset.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor

from thumbwheel.bus.group import Group
from thumbwheel.bus.kafka_client import (
    RETRY_S,
    Kept,
    client_options,
    make_client,
    milliseconds,
    topic_names,
    translated,
)
from thumbwheel.bus.port import TOPICS
from thumbwheel.bus.source import Place
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import LogUnavailable

_HEARTBEATS = 5  # to a session
_LEAST_POLL_INTERVAL_S = 120.0  # a transaction may take half of it
_JOIN_S = 1.0


class KafkaMembership:
    """A member of a group. For one thread, but for `held`."""

    def __init__(self, settings: Kafka, group: Group) -> None:
        """Join when first asked, so that a broker that is away keeps nothing from starting. Raises InvalidConfig."""
        self._settings = settings
        self._group = group
        self._topics = {name: topic for topic, name in topic_names(settings).items() if topic in TOPICS}
        options = client_options(settings) | {"metrics_enabled": False, "allow_auto_create_topics": False}
        self._consumer = Kept(lambda: self._join(options), lambda consumer: consumer.close(autocommit=False))
        self._lock = threading.Lock()
        self._held: Sequence[Place] = ()

    @property
    def held(self) -> Sequence[Place]:
        """The partitions that were this member's when it asked last. Any thread may look."""
        with self._lock:
            return self._held

    def places(self) -> Sequence[Place]:
        """Say that this member lives, and return the partitions that are its own now, requests before feedback.

        To be called between transactions: who does not call for two minutes is taken to be stuck, and leaves the group.

        Raises:
            LogUnavailable: no broker answers, or the group has not heard of this member for longer than its session.
        """
        try:
            found = self._ask()
        except LogUnavailable:
            self._keep(())
            raise
        self._keep(found)
        return found

    def close(self) -> None:
        """Leave the group, at once if without an instance."""
        self._consumer.close()
        self._keep(())

    def _ask(self) -> Sequence[Place]:
        with self._consumer.using() as consumer, translated(self._settings.bootstrap_servers):
            # Nothing comes, all is paused: this takes part in the group. Joining is never done in no time at all.
            consumer.poll(milliseconds(_JOIN_S) if consumer._coordinator.need_rejoin() else 0)
            self._demand_heard(consumer)
            assigned = consumer.assignment()
        found = [(self._topics[one.topic], one.partition) for one in assigned]
        return sorted(found, key=lambda place: (TOPICS.index(place[0]), place[1]))

    def _demand_heard(self, consumer: KafkaConsumer) -> None:
        # The client itself goes on for ever with what it had when another took its instance's place.
        coordinator = consumer._coordinator
        if coordinator.stable() and coordinator.heartbeat.session_timeout_expired():
            raise LogUnavailable(
                f"the group has not heard of this worker for {self._group.session_s:g} s and gave its partitions to "
                "others; it joins again. If that goes on, two workers have one ingest.instance",
                RETRY_S,
            )

    def _join(self, options: dict[str, Any]) -> KafkaConsumer:
        consumer = make_client(KafkaConsumer, options | _consumer_options(self._group))
        consumer.subscribe(sorted(self._topics), listener=_Paused(consumer))
        return consumer

    def _keep(self, places: Sequence[Place]) -> None:
        with self._lock:
            self._held = places


class _Paused(ConsumerRebalanceListener):  # type: ignore[misc]
    """Lets nothing be fetched of what is assigned."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Only set flags: this runs on the client's network thread."""
        self._consumer.pause(*assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing: offsets are elsewhere."""


def _consumer_options(group: Group) -> dict[str, Any]:
    return {
        "group_id": group.name,
        "group_instance_id": group.instance or None,
        # By ranges, so that an answer and its votes, which are in partitions of one number, have one worker.
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "session_timeout_ms": milliseconds(group.session_s),
        "heartbeat_interval_ms": milliseconds(group.session_s / _HEARTBEATS),
        "max_poll_interval_ms": milliseconds(max(_LEAST_POLL_INTERVAL_S, 2 * group.session_s)),
        "enable_auto_commit": False,
        "auto_offset_reset": "latest",
    }
