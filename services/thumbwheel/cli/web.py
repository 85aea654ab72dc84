"""`thumbwheel web`: the pages alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, pass_context

if TYPE_CHECKING:
    from thumbwheel.app.processes.web import Started


@click.command(name="web")
@pass_context
def command(context: Context) -> None:
    """Serve the pages, for users and operators, before the gRPC doors of a `thumbwheel serve`.

    Which doors: web.address and web.admin_address, or --address and --admin-address; without them those of this
    configuration's serve.host and serve.admin_host.

    \b
    thumbwheel --config service.toml web
    thumbwheel --address serve:7070 --admin-address serve:7071 web
    """
    import uvloop

    from thumbwheel.app.processes import web
    from thumbwheel.telemetry.logging import configure_logging

    settings = context.settings
    configure_logging(settings.telemetry)
    serve = settings.serve
    address = context.address or settings.web.address or f"{serve.host}:{serve.port}"
    admin = context.admin_address or settings.web.admin_address or f"{serve.admin_host}:{serve.admin_port}"
    uvloop.run(web.run(settings, address, admin, _show))


def _show(started: Started) -> None:
    click.echo(f"pages {started.pages}/ of {started.behind}, probes {started.probes}/healthz")
