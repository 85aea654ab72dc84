"""Checks of the Kafka log, from where this process stands. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from thumbwheel.app.clock_check import judge_clock
from thumbwheel.app.durability import feedback_durability
from thumbwheel.app.finding import Finding, tried
from thumbwheel.app.storage import ingest_group
from thumbwheel.bus.kafka_cluster import (
    CLEANUP,
    IN_STEP_DEMANDED,
    LARGEST_BATCH,
    RETENTION_MS,
    clock_ahead_s,
    group_members,
    topic_configs,
)
from thumbwheel.bus.kafka_topics import BATCH_OVERHEAD_BYTES, TopicState, describe_topics, retention_ms
from thumbwheel.bus.port import USER_KEYS
from thumbwheel.config.settings import Kafka, Settings

_DAY_MS = 86_400_000


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
    at_broker = feedback_durability(settings).place == "broker"
    seen.append(_all_topics(states))
    seen += [_topic(state, kafka, configs.get(state.topic, {}), at_broker) for state in states]
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


def _all_topics(states: Sequence[TopicState]) -> Finding:
    """How many topics there are of those that there have to be, and how many partitions in each; names the others."""
    missing = [one for one in states if not one.partitions]
    other = [one for one in states if one.partitions and one.partitions != one.wanted_partitions]
    found = f"{len(states) - len(missing)} of {len(states)} are there"
    if missing:
        wanted = (f"{one.topic} (partitions expected: {one.wanted_partitions})" for one in missing)
        found += f"; {len(missing)} missing: {', '.join(wanted)}"
    if other:
        counts = (f"{one.topic} ({one.partitions} instead of {one.wanted_partitions})" for one in other)
        found += f"; {len(other)} with other partitions than expected: {', '.join(counts)}"
    if not missing and not other:
        return Finding("topics", True, f"{found}, each with the partitions that are expected")
    cure = (
        "thumbwheel --config FILE topics create makes those that are missing" if missing else "see each of them below"
    )
    return Finding("topics", False, found, cure)


def _topic(state: TopicState, settings: Kafka, config: Mapping[str, str], at_broker: bool) -> Finding:
    found = f"{state.partitions} partitions, {state.replication} copies"
    problem, cure = _problem(state, settings, config)
    if not problem:
        problem, cure = _too_few_copies(state, config, at_broker)
    return Finding(f"topic {state.topic}", not problem, problem or found, cure)


def _problem(state: TopicState, settings: Kafka, config: Mapping[str, str]) -> tuple[str, str]:
    """Return what is wrong with a topic, and its cure; empty where nothing is."""
    if not state.partitions:
        return (
            f"is missing: {state.wanted_partitions} partitions are expected, {settings.replication} copies of each",
            "make it: thumbwheel --config FILE topics create (`thumbwheel move` makes it, too)",
        )
    if state.partitions != state.wanted_partitions and state.topic.endswith(USER_KEYS):
        return (
            f"has {state.partitions} partitions instead of 1: keys in the others are not read",
            "nobody can take partitions away: end every process, choose another kafka.topic_prefix, and call "
            "thumbwheel topics create; a topic without a key may be deleted and made anew instead",
        )
    if 0 < state.partitions < state.wanted_partitions:
        return (
            f"has {state.partitions} partitions instead of {state.wanted_partitions}",
            f"set kafka.partitions to {state.partitions} where all topics have so many; else bring this one to "
            f"{state.wanted_partitions} (kafka-topics.sh --alter --partitions), every process ended and ingest through",
        )
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
    if not state.topic.endswith(USER_KEYS) and _is_shorter(kept := int(config.get(RETENTION_MS, -1)), settings):
        return (
            f"keeps events for {kept / _DAY_MS:,.1f} days: no replay and no restore reaches further back",
            f"set the topic's retention.ms to {retention_ms(settings)}, or lower kafka.retention_days",
        )
    if state.topic.endswith(USER_KEYS) and config.get(CLEANUP, "compact") != "compact":
        return (
            "is not compacted: it loses keys in time, and with them users' events",
            "set the topic's cleanup.policy to compact",
        )
    return "", ""


def _is_shorter(kept_ms: int, settings: Kafka) -> bool:
    wanted_ms = retention_ms(settings)
    return kept_ms >= 0 and (wanted_ms < 0 or kept_ms < wanted_ms)


def _too_few_copies(state: TopicState, config: Mapping[str, str], at_broker: bool) -> tuple[str, str]:
    """Return what is wrong where an acknowledgement is worth one broker's disk, or none is given; else empty."""
    demanded = int(config.get(IN_STEP_DEMANDED, min(2, state.replication)))
    if state.in_step < demanded:
        return (
            f"has {state.in_step} copies in step, min.insync.replicas demands {demanded}: nothing is acknowledged",
            "bring its brokers back: thumbwheel topics describe shows which topics lack copies",
        )
    if at_broker and min(demanded, state.replication) < 2:
        return (
            f"acknowledges with {demanded} of {state.replication} copies in step: votes and what they are about can go "
            "with one broker",
            "use kafka.replication 3 with min.insync.replicas 2: kafka-reassign-partitions.sh, then kafka-configs.sh",
        )
    return "", ""


def _durability(settings: Settings) -> Finding:
    held = feedback_durability(settings)
    if held.place == "broker":
        return Finding("votes", True, f"acknowledged once the broker has them: {held.why}")
    if held.fleeting:
        found = f"acknowledged on this disk, and that ({held.disk}) goes with the machine or the container"
        return Finding(
            "votes", False, found, "set log.feedback_durability to auto or broker, or put the home on a volume"
        )
    return Finding("votes", True, f"acknowledged on this disk ({held.disk}), which must outlive the process")
