"""`thumbwheel ingest`: from Kafka into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, pass_context

if TYPE_CHECKING:
    from thumbwheel.app.processes.ingest import Started


@click.command(name="ingest")
@pass_context
def command(context: Context) -> None:
    """Move requests and votes from Kafka into the store. Start several and they share the partitions.

    \b
    thumbwheel --config service.toml ingest
    A second one on the same machine:
      thumbwheel --config service.toml --set probes.ingest_port=0 ingest
    """
    import asyncio

    from thumbwheel.app.processes import ingest
    from thumbwheel.telemetry.logging import configure_logging

    configure_logging(context.settings.telemetry)
    asyncio.run(ingest.run(context.settings, _show))


def _show(started: Started) -> None:
    click.echo(f"ingesting: group {started.group}, probes {started.probes}/healthz")
