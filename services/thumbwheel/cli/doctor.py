"""`thumbwheel doctor`: what is wrong here, and how to mend it."""

from __future__ import annotations

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit


@click.command(name="doctor")
@json_option
@pass_context
def command(context: Context) -> None:
    """Check this installation and its home folder; exit status 1 if something needs mending."""
    from thumbwheel.app.doctor import examine

    findings = examine(context.settings)
    emit(
        context,
        [{"check": one.check, "ok": one.ok, "found": one.found, "cure": one.cure} for one in findings],
        prose="cure",
    )
    if not all(one.ok for one in findings):
        raise SystemExit(1)
