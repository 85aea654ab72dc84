"""What a cluster says of itself beyond its topics: how large a record may be, what time it is, who shares reading."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    CoordinatorNotAvailableError,
    GroupIdNotFoundError,
    UnsupportedVersionError,
)

from thumbwheel.bus.kafka_client import administrator, topic_names, translated
from thumbwheel.config.settings import Kafka

LARGEST_BATCH = "max.message.bytes"
CLEANUP = "cleanup.policy"
IN_STEP_DEMANDED = "min.insync.replicas"
RETENTION_MS = "retention.ms"


def topic_configs(settings: Kafka) -> Mapping[str, Mapping[str, str]]:
    """Return what the settings named above are for each topic, by the topic's name at the broker.

    A topic that is missing, or that we may not look at, is left out. Raises LogUnavailable.
    """
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topic_names(settings).values()]
    with administrator(settings) as admin, translated(settings.bootstrap_servers):
        try:
            found = admin.describe_configs(wanted, config_filter="all").get("topic", {})
        except AuthorizationError:
            return {}
    names = LARGEST_BATCH, CLEANUP, IN_STEP_DEMANDED, RETENTION_MS
    return {topic: {name: one[name]["value"] for name in names} for topic, one in found.items() if CLEANUP in one}


def group_members(settings: Kafka, group: str) -> int | None:
    """Return how many members a group has; None where that can't be seen, which takes the right to describe it.

    Raises LogUnavailable.
    """
    with administrator(settings) as admin, translated(settings.bootstrap_servers):
        try:
            return len(admin.describe_groups([group])[group]["members"])
        except GroupIdNotFoundError:
            return 0
        except (AuthorizationError, CoordinatorNotAvailableError):  # the latter before there ever was a group
            return None


def clock_ahead_s(settings: Kafka) -> float | None:
    """Return by how many seconds this machine's clock is ahead of the cluster's, to about the length of a call.

    None where that can't be seen: only controllers tell the time (KIP-836), to those who may describe the cluster.
    Raises LogUnavailable.
    """
    with administrator(settings) as admin, translated(settings.bootstrap_servers):
        before = time.time()
        try:
            answer = admin.describe_metadata_quorum()
        except (AuthorizationError, UnsupportedVersionError):
            return None
        now_s = (before + time.time()) / 2
    (quorum,) = answer["topics"][0]["partitions"]
    # Of the leader this is the present time, of the others when they were last level with it.
    leader = (one for one in quorum["current_voters"] if one["replica_id"] == quorum["leader_id"])
    cluster_ms = max((one["last_caught_up_timestamp"] for one in leader), default=-1)
    return now_s - cluster_ms / 1e3 if cluster_ms > 0 else None
