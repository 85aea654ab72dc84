"""`thumbwheel serve`: the gRPC doors alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, pass_context

if TYPE_CHECKING:
    from thumbwheel.app.home import Addresses


@click.command(name="serve")
@pass_context
def command(context: Context) -> None:
    """Take requests, votes and operators' orders over gRPC, and ship them to Kafka; nothing else.

    Beside it run `thumbwheel ingest`, `thumbwheel retrain --watch` and `thumbwheel web`, each once or several times, on
    this machine or others. They share Kafka, the database, the versions' store and the key file. A second one on this
    machine needs a home of its own, for its outbox.

    \b
    thumbwheel --config service.toml serve
    """
    import uvloop

    from thumbwheel.app.processes import serve
    from thumbwheel.telemetry.logging import configure_logging

    configure_logging(context.settings.telemetry)
    uvloop.run(serve.run(context.settings, _show))


def _show(addresses: Addresses) -> None:
    click.echo(f"serving: gRPC {addresses.grpc}, operators {addresses.admin}, probes {addresses.probes}/healthz")
