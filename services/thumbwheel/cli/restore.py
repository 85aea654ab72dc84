"""`thumbwheel restore`."""

from __future__ import annotations

from pathlib import Path

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json, when


@click.command(name="restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
@pass_context
def command(context: Context, folder: Path) -> None:
    """Restore the backup in FOLDER into the home and an empty database, then read what the log has had since.

    With Kafka that is everything acknowledged since the backup, as far back as the topics' retention goes. Users who
    were erased since are erased again. Files that the home has already stay. Exit status 1 if a version is damaged.

    \b
    thumbwheel --home /new/home restore /backups/2026-05-03
    """
    import os

    from thumbwheel.app.restore import restore

    os.umask(0o077)
    done = restore(context.settings, folder)
    if context.json:
        emit_json({"records": done.records, "erased": done.erased, "damaged": [one.version for one in done.damaged]})
    else:
        click.echo(f"restored: the backup of {when(done.backup.time_us)}, {len(done.backup.versions)} versions in it")
        click.echo(
            f"read since: {counted(done.records, 'record')}; erased again: {counted(done.erased, 'user')}",
        )
    for one in done.damaged:
        click.secho(f"{one.policy} {one.version} is not whole: {one.problem}", fg="yellow", err=True)
    if done.damaged:
        raise SystemExit(1)
