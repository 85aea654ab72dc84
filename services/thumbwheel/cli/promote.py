"""`thumbwheel promote`."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.versions import actor, show_move


@click.command(name="promote")
@click.argument("policy")
@click.argument("version")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--actor", "who", default=actor, help="Who decides; you, if left out.")
@json_option
@pass_context
def command(context: Context, policy: str, version: str, reason: str, who: str) -> None:
    """Make a version the champion. It is swapped in without dropping a request.

    \b
    thumbwheel promote support v3 --reason "better on the spring catalogue"
    """
    with context.admin() as admin:
        show_move(context, admin.promote(policy, version, reason=reason, actor=who))
