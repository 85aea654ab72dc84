"""`thumbwheel topics`: the event log's topics in Kafka."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit


@click.group(name="topics")
def command() -> None:
    """Make or show the event log's topics in Kafka (section `kafka` of the configuration)."""


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


@command.command(short_help="Show each topic with its partitions and copies.")
@json_option
@pass_context
def describe(context: Context) -> None:
    """Show each topic with its partitions and copies; exit status 1 if one is missing."""
    from thumbwheel.bus.kafka_topics import describe_topics

    states = describe_topics(context.settings.kafka)
    emit(
        context,
        [{"topic": one.topic, "partitions": one.partitions, "replication": one.replication} for one in states],
    )
    if not all(one.partitions for one in states):
        raise SystemExit(1)
