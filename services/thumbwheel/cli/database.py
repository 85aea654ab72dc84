"""`thumbwheel database`: the schema of the store and the registry."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json


@click.group(name="database")
def command() -> None:
    """Show the database's schema, bring it up to date, or take it back for an older release.

    The database is database.url, or the file in the home. Every start brings it up to date by itself; `upgrade` does so
    ahead of one.

    \b
    thumbwheel database upgrade
    """


@command.command(short_help="Show the schema it has, and those that this release knows.")
@json_option
@pass_context
def show(context: Context) -> None:
    """Show the schema that the database has, and those that this release knows; exit status 1 unless it has the newest.

    \b
    thumbwheel database show
    thumbwheel --config service.toml database show --json
    """
    from thumbwheel.app.schema import NO_TABLES, schema_of
    from thumbwheel.database.migrate import HEAD

    schema = schema_of(context.settings)
    rows = [
        {"schema": one.revision, "there": one.revision <= schema.found, "what it brought": one.title}
        for one in schema.known
    ]
    if context.json:
        known = [{"schema": one.revision, "title": one.title, "lost": one.lost} for one in schema.known]
        emit_json({"database": schema.place, "schema": schema.found, "release": HEAD, "known": known})
    else:
        newer = ", of a newer release" if schema.newer else ""
        click.echo(f"{schema.place}: schema {schema.found or NO_TABLES}{newer}; this release's is {HEAD}")
        emit(context, rows, prose="what it brought")
    if schema.found != HEAD:
        raise SystemExit(1)


@command.command(short_help="Bring it up to this release's schema.")
@json_option
@pass_context
def upgrade(context: Context) -> None:
    """Bring the database up to this release's schema; one without tables gets them. Take a backup first.

    In a home nothing may run meanwhile. Of a database elsewhere end what runs the old release first: it would work with
    tables that it does not know.

    \b
    thumbwheel --config service.toml backup /backups/before
    thumbwheel --config service.toml database upgrade
    """
    from thumbwheel.app.schema import NO_TABLES
    from thumbwheel.app.schema import upgrade as upgrade_schema

    before, now = upgrade_schema(context.settings)
    if context.json:
        emit_json({"before": before, "schema": now})
    elif before == now:
        click.echo(f"the database has schema {now} already")
    else:
        click.echo(f"the database has schema {now} now, it had {before or NO_TABLES}")


@command.command(short_help="Take it back to an older schema, for an older release.")
@click.argument("schema")
@click.option("--yes", is_flag=True, help="Don't ask whether you are sure.")
@json_option
@pass_context
def downgrade(context: Context, schema: str, yes: bool) -> None:
    """Take the database back to an older SCHEMA, for an older release; `none` removes all tables.

    It says first what is lost. End everything that uses the database before, and begin nothing of this release after:
    its next start would bring the database up to date again. What no downgrade brings back is in a backup.

    \b
    thumbwheel database show
    thumbwheel backup /backups/before
    thumbwheel database downgrade 0003 --yes
    """
    from thumbwheel.app.schema import NO_TABLES, losses, schema_of
    from thumbwheel.app.schema import downgrade as downgrade_schema

    found = schema_of(context.settings)
    for one in losses(found, schema):
        click.echo(f"lost with {one.revision}: {one.lost}", err=True)
    if not yes:
        click.confirm(f"Take {found.place} from {found.found} back to {schema}?", abort=True, err=True)
    before = downgrade_schema(context.settings, schema)
    if context.json:
        emit_json({"before": before, "schema": "" if schema == NO_TABLES else schema})
        return
    click.echo(f"the database has schema {schema} now, it had {before}")
    click.echo("go on with the release that it belongs to; the next start of this one brings it up to date again")
