"""`thumbwheel topics`: the event log's topics in Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit

if TYPE_CHECKING:
    from thumbwheel.bus.kafka_topics import TopicState


@click.group(name="topics")
def command() -> None:
    """Make or show the event log's topics in Kafka (section `kafka` of the configuration).

    \b
    thumbwheel topics create
    thumbwheel topics describe
    """


@command.command(short_help="Make the topics that are missing.")
@json_option
@pass_context
def create(context: Context) -> None:
    """Make the topics that are missing, as kafka.partitions and kafka.replication say. What exists stays as it is.

    \b
    thumbwheel --set kafka.bootstrap_servers=broker:9092 topics create
    """
    from thumbwheel.bus.kafka_topics import create_topics

    emit(context, [{"made": name} for name in create_topics(context.settings.kafka)], empty="all topics were there")


@command.command(short_help="Show each topic with its partitions, copies and retention.")
@json_option
@pass_context
def describe(context: Context) -> None:
    """Show each topic with its partitions, copies and retention; exit status 1 if one is missing.

    in_step is of the partition with the fewest copies in step: with fewer than min_in_step (min.insync.replicas)
    nothing is acknowledged. What is older than retention_hours goes, read or not; -1 keeps all. A compacted topic keeps
    the last record of each key, whatever its retention.

    \b
    thumbwheel topics describe --json
    """
    from thumbwheel.bus.kafka_cluster import topic_configs
    from thumbwheel.bus.kafka_topics import describe_topics

    states, configs = describe_topics(context.settings.kafka), topic_configs(context.settings.kafka)
    emit(context, [_row(one, configs.get(one.topic, {})) for one in states])
    if not all(one.partitions for one in states):
        raise SystemExit(1)


def _row(state: TopicState, config: Mapping[str, str]) -> dict[str, object]:
    """A topic's row; what the broker does not tell (the topic is missing, or it takes rights) is empty."""
    from thumbwheel.bus.kafka_cluster import CLEANUP, IN_STEP_DEMANDED, RETENTION_MS

    retention_ms = int(config.get(RETENTION_MS, -1))
    kept = -1 if retention_ms < 0 else round(retention_ms / 3_600_000, 2)
    return {
        "topic": state.topic,
        "partitions": state.partitions,
        "replication": state.replication,
        "in_step": state.in_step,
        "min_in_step": int(config[IN_STEP_DEMANDED]) if config else "",
        "retention_hours": kept if config else "",
        "cleanup": config.get(CLEANUP, ""),
    }
