"""`thumbwheel retrain`."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit_json
from thumbwheel.cli.versions import actor


@click.command(name="retrain")
@click.argument("policy")
@json_option
@pass_context
def command(context: Context, policy: str) -> None:
    """Start a training run now, whatever the schedule says. Watch it with `thumbwheel runs`.

    \b
    thumbwheel retrain support
    """
    with context.admin() as admin:
        run_id = admin.start_run(policy, actor=actor())
    if context.json:
        emit_json({"run_id": run_id})
    else:
        click.echo(f"started; see it with: thumbwheel runs {run_id}")
