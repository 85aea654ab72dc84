"""`thumbwheel replay`: a store made anew from the log."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json


@click.command(name="replay")
@json_option
@pass_context
def command(context: Context) -> None:
    """Rebuild the store from the log, into an empty database: answers, votes, dead letters. Stop the service first.

    Policies and runs are not in the log; they come from a backup.

    \b
    thumbwheel --set database.url=postgresql+psycopg://me@db/new replay
    """
    from dataclasses import asdict

    from thumbwheel.app.replay import replay

    done = replay(context.settings)
    if context.json:
        emit_json(asdict(done))
        return
    click.echo(
        f"replayed: {counted(done.records, 'record')}, of them {counted(done.dead_letters, 'dead letter')}; "
        f"{counted(done.orphan_votes, 'vote')} waiting for an answer"
    )
    for place in done.gone:
        click.secho(f"the log no longer has {place}: it was erased, trimmed, or older than what is kept", fg="yellow")
