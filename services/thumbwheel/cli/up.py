"""`thumbwheel up`: the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, pass_context

if TYPE_CHECKING:
    from thumbwheel.app.home import Addresses


@click.command(name="up")
@pass_context
def command(context: Context) -> None:
    """Run the service on this machine: gRPC, pages, ingest, and training on schedule, in one process.

    \b
    thumbwheel up
    Train whenever 2,500 new thumbs are in, or every night at 3:00 UTC:
      thumbwheel --set schedule.min_new_votes=2500 up
      thumbwheel --set schedule.cron="0 3 * * *" up
    """
    import uvloop

    from thumbwheel.app.processes import up
    from thumbwheel.telemetry.logging import configure_logging

    configure_logging(context.settings.telemetry)
    # A call crosses the loop a dozen times; the standard loop's own Python would be a fifth of what a call costs.
    uvloop.run(up.run(context.settings, _show))


def _show(addresses: Addresses) -> None:
    click.echo(f"gRPC for clients     {addresses.grpc}")
    click.echo(f"gRPC for operators   {addresses.admin}")
    click.echo(f"pages                {addresses.web}/  and  {addresses.web}/operate")
    click.echo("Ctrl-C stops it; requests in flight are finished first.")
