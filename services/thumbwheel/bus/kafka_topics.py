"""The topics at the broker: made once, with as many partitions and copies as the settings say."""

from __future__ import annotations

from dataclasses import dataclass

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from thumbwheel.bus.kafka_client import administrator, milliseconds, topic_names, translated
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import Conflict

BATCH_OVERHEAD_BYTES = 1 << 10  # what a batch adds to its one record


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is at the broker. Without partitions it does not exist."""

    topic: str
    partitions: int
    replication: int


def create_topics(settings: Kafka) -> list[str]:
    """Make the topics that are missing; return their names at the broker. What exists stays as it is.

    Raises:
        Conflict: the cluster refused, for example because it has fewer brokers than copies were asked for.
        LogUnavailable: no broker answered.
    """
    with administrator(settings) as admin:
        return [name for name in topic_names(settings).values() if _create(admin, name, settings)]


def describe_topics(settings: Kafka) -> list[TopicState]:
    """Return the state of every topic. Raises LogUnavailable."""
    names = topic_names(settings)
    with administrator(settings) as admin, translated():
        found = {one["name"]: one["partitions"] for one in admin.describe_topics() if not one["error_code"]}
    return [_state(name, found.get(name, [])) for name in names.values()]


def _state(name: str, partitions: list[dict[str, list[int]]]) -> TopicState:
    replication = min((len(one["replica_nodes"]) for one in partitions), default=0)
    return TopicState(name, len(partitions), replication)


def _create(admin: KafkaAdminClient, name: str, settings: Kafka) -> bool:
    wanted = {
        "num_partitions": settings.partitions,
        "replication_factor": settings.replication,
        "configs": {
            "max.message.bytes": str(settings.max_record_bytes + BATCH_OVERHEAD_BYTES),
            "min.insync.replicas": str(max(1, settings.replication - 1)),
        },
    }
    try:
        admin.create_topics({name: wanted}, timeout_ms=milliseconds(settings.request_timeout_s), wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        with translated():
            if getattr(error, "retriable", False):
                raise
        raise Conflict(f"the cluster refused to make the topic {name}: {type(error).__name__}") from error
    return True
