"""`thumbwheel backup`."""

from __future__ import annotations

from pathlib import Path

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json


@click.command(name="backup")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
@pass_context
def command(context: Context, folder: Path) -> None:
    """Copy database, log, keys, configuration and versions into a new FOLDER, while the service runs.

    It holds the secret keys and users' texts: keep it as safe as the home, and no longer than you promise to keep them.
    PostgreSQL takes pg_dump on the PATH. Exit status 1 if a version's files were not whole.

    \b
    thumbwheel backup /backups/2026-05-03
    """
    import os

    from thumbwheel.app.backup import back_up

    os.umask(0o077)
    made = back_up(context.settings, folder, context.loaded.file)
    broken = [one for one in made.versions if one.problem]
    if context.json:
        emit_json(
            {"folder": str(folder), "files": len(made.files), "versions": len(made.versions), "damaged": len(broken)}
        )
    else:
        whole = len(made.versions) - len(broken)
        click.echo(f"backed up into {folder}: {counted(len(made.files), 'file')}, {counted(whole, 'whole version')}")
    for one in broken:
        click.secho(f"{one.policy} {one.version} was not whole: {one.problem}", fg="yellow", err=True)
    if broken:
        raise SystemExit(1)
