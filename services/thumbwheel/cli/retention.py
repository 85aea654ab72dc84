"""`thumbwheel retention`: how long answers and votes are kept."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json
from thumbwheel.cli.versions import actor


@click.group(name="retention")
def command() -> None:
    """Forget answers, votes and snapshots that are older than store.retention_days.

    \b
    thumbwheel --set store.retention_days=90 retention apply
    """


@command.command(short_help="Forget what is past now.")
@json_option
@pass_context
def apply(context: Context) -> None:
    """Forget what is older than store.retention_days now. A service does so by itself, every hour.

    \b
    thumbwheel --set store.retention_days=90 retention apply
    """
    import datetime as dt

    from thumbwheel.app.retention import apply_retention

    done = apply_retention(context.settings, actor())
    since = dt.datetime.fromtimestamp(done.store.horizon_us / 1e6, dt.UTC)
    if context.json:
        emit_json(
            {
                "kept_since": since.isoformat(),
                "slices": done.store.slices,
                "rows": done.store.rows,
                "records": done.records,
                "runs": list(done.runs),
            }
        )
        return
    click.echo(f"kept: answers since {since:%Y-%m-%d %H:%M} UTC, and the votes on them")
    click.echo(
        f"forgotten: {counted(done.store.slices, 'slice')} and {counted(done.store.rows, 'row')} of the store, "
        f"{counted(done.records, 'record')} of the log, the snapshots of {counted(len(done.runs), 'run')}"
    )
