"""The topics at the broker: made once, with as many partitions and copies as the settings say."""

from __future__ import annotations

from dataclasses import dataclass

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from thumbwheel.bus.kafka_client import administrator, milliseconds, topic_names, translated
from thumbwheel.bus.port import USER_KEYS
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import Conflict

BATCH_OVERHEAD_BYTES = 1 << 10  # what a batch adds to its one record
_DAY_MS = 86_400_000
_REMOVALS_KEPT_MS = 400 * _DAY_MS


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is at the broker. Without partitions it does not exist.

    `replication` is of the partition that has fewest copies, `in_step` of the one that has fewest of them in step.
    """

    topic: str
    partitions: int
    replication: int
    in_step: int
    wanted_partitions: int


def create_topics(settings: Kafka) -> list[str]:
    """Make the topics that are missing; return their names at the broker. What exists stays as it is.

    Raises:
        Conflict: the cluster refused, for example because it has fewer brokers than copies were asked for.
        LogUnavailable: no broker answered.
    """
    with administrator(settings) as admin:
        return [name for topic, name in topic_names(settings).items() if _create(admin, topic, name, settings)]


def describe_topics(settings: Kafka) -> list[TopicState]:
    """Return the state of every topic. Raises LogUnavailable."""
    names = topic_names(settings)
    with administrator(settings) as admin, translated(settings.bootstrap_servers):
        found = {one["name"]: one["partitions"] for one in admin.describe_topics() if not one["error_code"]}
    return [_state(name, found.get(name, []), _partitions(topic, settings)) for topic, name in names.items()]


def retention_ms(settings: Kafka) -> int:
    """Return a topic's retention in milliseconds; -1: for ever."""
    return settings.retention_days * _DAY_MS or -1


def _compacted(settings: Kafka) -> dict[str, str]:
    """Return how a removed key leaves the brokers' disks in time: a segment ends, and is written anew, by then."""
    return {
        "cleanup.policy": "compact",
        "max.compaction.lag.ms": str(milliseconds(settings.key_removal_s)),
        # The word that a key was removed outlives the backups of databases that still have the key.
        "delete.retention.ms": str(_REMOVALS_KEPT_MS),
        "file.delete.delay.ms": "1000",
    }


def _state(name: str, partitions: list[dict[str, list[int]]], wanted: int) -> TopicState:
    replication = min((len(one["replica_nodes"]) for one in partitions), default=0)
    in_step = min((len(one["isr_nodes"]) for one in partitions), default=0)
    return TopicState(name, len(partitions), replication, in_step, wanted)


def _partitions(topic: str, settings: Kafka) -> int:
    return 1 if topic == USER_KEYS else settings.partitions


def _create(admin: KafkaAdminClient, topic: str, name: str, settings: Kafka) -> bool:
    wanted = {
        "num_partitions": _partitions(topic, settings),
        "replication_factor": settings.replication,
        "configs": {
            "max.message.bytes": str(settings.max_record_bytes + BATCH_OVERHEAD_BYTES),
            "min.insync.replicas": str(max(1, settings.replication - 1)),
            **(_compacted(settings) if topic == USER_KEYS else {"retention.ms": str(retention_ms(settings))}),
        },
    }
    try:
        admin.create_topics({name: wanted}, timeout_ms=milliseconds(settings.request_timeout_s), wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        with translated(settings.bootstrap_servers):
            if getattr(error, "retriable", False):
                raise
        raise Conflict(f"the cluster refused to make the topic {name}: {type(error).__name__}") from error
    return True
