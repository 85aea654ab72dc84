"""`thumbwheel move`: a home's versions and votes to another database and another store of files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json
from thumbwheel.errors import AlreadyMoved, ThumbwheelError


@click.command(name="move")
@click.option(
    "--to",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file that says where everything is to be.",
)
@json_option
@pass_context
def command(context: Context, file: Path) -> None:
    """Move the home's versions, votes and books to where another configuration keeps them. Stop the service first.

    Versions go to its artifacts.url, everything that the database holds to its database.url, which must never have been
    used. With its log.kind at `kafka` missing topics are made, and what the event log still holds is shipped by the
    next service. The old database's file is set aside under another name, versions' files stay; remove them when all
    is well.

    \b
    thumbwheel move --to scaled.toml
    thumbwheel --config scaled.toml up
    """
    from dataclasses import asdict

    from thumbwheel.app.moving import move
    from thumbwheel.bus.kafka_topics import create_topics
    from thumbwheel.cli.show import Bars
    from thumbwheel.config.load import load_settings

    source = context.settings
    target = load_settings(file, {**context.flags, "home": str(source.home)}).settings
    with _told_what_next(source.home, file):
        made = create_topics(target.kafka) if target.log.kind == "kafka" else []
        with Bars(stderr=context.json) as bars:
            done = move(source, target, lambda what: bars.bar(f"moving {what}"))
    if context.json:
        emit_json({**asdict(done), "set_aside": str(done.set_aside or ""), "topics_made": list(made)})
        return
    apart = target.log.is_shared
    click.echo(f"moved: {counted(done.versions, 'version')}, {counted(done.rows, 'row')}")
    if made:
        click.echo(f"made in Kafka: {', '.join(made)}")
    if done.set_aside:
        click.echo(f"the old database is now {done.set_aside}; `erase` refuses until you remove it, when all is well")
    command = f"thumbwheel --home {shlex.quote(str(source.home))} --config {shlex.quote(str(file))}"
    click.echo(f"look at it with  {command} doctor")
    click.echo(f"go on with       {command} {'serve, and ingest, or all in one: up' if apart else 'up'}")


@contextmanager
def _told_what_next(home: Path, file: Path) -> Iterator[None]:
    """Let an error end with the next step: nothing was moved, unless it says otherwise itself."""
    try:
        yield
    except AlreadyMoved:
        raise
    except ThumbwheelError as error:
        again = f"thumbwheel --home {shlex.quote(str(home))} move --to {shlex.quote(str(file))}"
        error.add_note(f"Nothing was moved, and the old place goes on as it was. When that is mended:  {again}")
        raise
