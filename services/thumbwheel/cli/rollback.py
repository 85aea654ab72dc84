"""`thumbwheel rollback`."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.versions import actor, show_move


@click.command(name="rollback")
@click.argument("policy")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--actor", "who", default=actor, help="Who decides; you, if left out.")
@json_option
@pass_context
def command(context: Context, policy: str, reason: str, who: str) -> None:
    """Return to the champion before the present one. Again: one step further back.

    \b
    thumbwheel rollback support --reason "customers complain about prices"
    """
    with context.admin() as admin:
        show_move(context, admin.rollback(policy, reason=reason, actor=who))
