"""`thumbwheel up`: the service."""

from __future__ import annotations

from contextlib import closing
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
    Train whenever 2,500 new votes are in, or every night at 3:00 UTC:
      thumbwheel --set schedule.min_new_votes=2500 up
      thumbwheel --set schedule.cron="0 3 * * *" up
    """
    import uvloop

    from thumbwheel.app.home import demand_free
    from thumbwheel.app.trust import demand_guarded, grpc_hosts
    from thumbwheel.hosts.local import demand_ports
    from thumbwheel.telemetry.logging import configure_logging

    serve = context.settings.serve
    demand_free(context.settings.home)
    demand_guarded(context.settings, grpc_hosts(context.settings))
    demand_ports("serve.host", serve.host, {"serve.port": serve.port, "serve.web_port": serve.web_port})
    demand_ports("serve.admin_host", serve.admin_host, {"serve.admin_port": serve.admin_port})
    click.echo("starting", err=True)
    # Only now: it brings torch with it, which takes seconds.
    from thumbwheel.app.processes import up

    configure_logging(context.settings.telemetry)
    # A call crosses the loop a dozen times; the standard loop's own Python would be a fifth of what a call costs.
    uvloop.run(up.run(context.settings, lambda addresses: _show(context, addresses)))


def _show(context: Context, addresses: Addresses) -> None:
    from thumbwheel.app.storage import open_registry

    click.echo(f"gRPC for clients     {addresses.grpc}")
    click.echo(f"gRPC for operators   {addresses.admin}")
    click.echo(f"pages                {addresses.web}/  and  {addresses.web}/operate")
    click.echo("Ctrl-C stops it; requests in flight are finished first.")
    with closing(open_registry(context.settings)) as registry:
        if not registry.policies():
            click.echo("It serves no policy yet: make one with  thumbwheel policy init  (see its --help).")
