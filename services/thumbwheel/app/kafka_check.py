"""Checks of the Kafka log, from where this process stands. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from thumbwheel.app.clock_check import judge_clock
from thumbwheel.app.finding import Finding, tried
from thumbwheel.app.storage import ingest_group
from thumbwheel.bus.kafka_cluster import CLEANUP, LARGEST_BATCH, clock_ahead_s, group_members, topic_configs
from thumbwheel.bus.kafka_topics import BATCH_OVERHEAD_BYTES, TopicState, describe_topics
from thumbwheel.bus.port import USER_KEYS
from thumbwheel.config.settings import Kafka, Settings

_FLEETING = {"tmpfs", "ramfs", "overlay"}  # file systems that go with the machine or the container


def examine_kafka(settings: Settings) -> Iterator[Finding]:
    """Check broker, topics, clock, and what a vote's OK is worth here. Without a broker the rest can't be seen."""
    yield _durability(settings)
    seen: list[Finding] = []
    yield tried("kafka", lambda: _look(settings, seen))
    yield from seen


def _look(settings: Settings, seen: list[Finding]) -> str:
    """Add to `seen` what the cluster tells; return where it was reached. Raises LogUnavailable, InvalidConfig."""
    kafka = settings.kafka
    states, configs = describe_topics(kafka), topic_configs(kafka)
    seen += [_topic(state, kafka, configs.get(state.topic, {})) for state in states]
    seen.append(judge_clock("kafka clock", clock_ahead_s(kafka)))
    seen.append(_workers(settings))
    return f"reached at {kafka.bootstrap_servers}"


def _workers(settings: Settings) -> Finding:
    """How many share the reading; none is no fault, for `up` reads by itself."""
    group = ingest_group(settings).name
    members = group_members(settings.kafka, group)
    if not members:
        return Finding("ingest", True, f"no `thumbwheel ingest` is seen in group {group}; `up` does without")
    return Finding("ingest", True, f"{members} in group {group}")


def _topic(state: TopicState, settings: Kafka, config: Mapping[str, str]) -> Finding:
    found = f"{state.partitions} partitions, {state.replication} copies"
    problem, cure = _problem(state, settings, config)
    return Finding(f"topic {state.topic}", not problem, problem or found, cure)


def _problem(state: TopicState, settings: Kafka, config: Mapping[str, str]) -> tuple[str, str]:
    """Return what is wrong with a topic, and its cure; empty where nothing is."""
    if not state.partitions:
        return "is missing", "make it: thumbwheel topics create"
    if state.partitions != state.wanted_partitions:
        return (
            f"has {state.partitions} partitions instead of {state.wanted_partitions}",
            f"set kafka.partitions to {state.partitions}: other ones later would part answers from their votes",
        )
    if state.replication < settings.replication:
        return (
            f"has {state.replication} copies, kafka.replication is {settings.replication}",
            "add copies with kafka-reassign-partitions.sh, or lower kafka.replication to what you can bear to lose",
        )
    needed = settings.max_record_bytes + BATCH_OVERHEAD_BYTES
    if (limit := int(config.get(LARGEST_BATCH, needed))) < needed:
        return (
            f"takes {limit:,} bytes at most, kafka.max_record_bytes needs {needed:,}",
            f"set the topic's max.message.bytes to {needed}, or lower kafka.max_record_bytes",
        )
    if state.topic.endswith(USER_KEYS) and config.get(CLEANUP, "compact") != "compact":
        return (
            "is not compacted: it loses keys in time, and with them users' events",
            "set the topic's cleanup.policy to compact",
        )
    return "", ""


def _durability(settings: Settings) -> Finding:
    if settings.log.feedback_durability == "broker":
        return Finding("votes", True, "acknowledged once the broker has them")
    kind = _file_system(settings.home, [(one.mountpoint, one.fstype) for one in psutil.disk_partitions(all=True)])
    if kind in _FLEETING:
        found = f"acknowledged on this disk, and that ({kind}) goes with the machine or the container"
        return Finding("votes", False, found, "set log.feedback_durability to broker, or put the home on a volume")
    return Finding("votes", True, f"acknowledged on this disk ({kind}), which must outlive the process")


def _file_system(folder: Path, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the kind of file system that a folder is on, or would be."""
    above = [str(one) for one in (folder.absolute(), *folder.absolute().parents)]
    found = [(len(point), kind) for point, kind in mounts if point in above]
    return max(found)[1] if found else "of unknown kind"
