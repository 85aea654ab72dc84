"""`thumbwheel config`: the configuration, explained."""

from __future__ import annotations

from dataclasses import asdict

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json


@click.group(name="config")
def command() -> None:
    """Show the configuration.

    \b
    thumbwheel config show
    """


@command.command(short_help="Print the page docs/configuration.md.")
def markdown() -> None:
    """Print the page docs/configuration.md.

    \b
    thumbwheel config markdown > docs/configuration.md
    """
    from thumbwheel.config.document import markdown

    click.echo(markdown(), nl=False)


@command.command(short_help="Print every field with its value and where that came from.")
@click.argument("section", required=False, default="")
@json_option
@pass_context
def show(context: Context, section: str) -> None:
    """Print every field with its value, unit, range, and where the value came from; secrets are hidden.

    \b
    thumbwheel config show
    thumbwheel config show classify
    thumbwheel --set classify.mode=argmax config show classify
    """
    from thumbwheel.config.load import describe

    rows = [row for row in describe(context.loaded) if row.field.startswith(section)]
    if not rows:
        raise click.UsageError(f"no section or field begins with {section!r}")
    if context.json:
        emit_json([asdict(row) for row in rows])
        return
    emit(
        context,
        [
            {
                "field": row.field,
                "value": _value(context, row.field, row.value),
                "unit": row.unit,
                "range": row.range,
                "from": row.origin,
                "meaning": row.description,
            }
            for row in rows
        ],
        prose="meaning",
    )


def _value(context: Context, field: str, value: str) -> str:
    """A field's value; where that is left to the disk under the home, what it comes to there, too."""
    from thumbwheel.app.durability import feedback_durability

    if (field, value) != ("log.feedback_durability", "auto"):
        return value
    return f"auto: here {feedback_durability(context.settings).place}"
