"""`thumbwheel drill`: what must not reach users, made on purpose, and whether it is stopped.

Each drill is a command in a file of its own, and a line at the end of this one.
"""

from __future__ import annotations

import click

from thumbwheel.cli.drill_planted import planted
from thumbwheel.cli.drill_poison import poison


@click.group(name="drill", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Make what must not reach users on purpose, and see where it is stopped: bad policies, falsified votes.

    Without a name every drill runs, one after the other. Nothing of it touches this home. The exit status is 0 only if
    all was stopped before full traffic by what it is for, and what truly gains passed.

    \b
    thumbwheel drill planted
    thumbwheel drill poison --seeds 3
    """
    if ctx.invoked_subcommand is not None:
        return
    failed = False
    for name in command.commands:
        try:
            ctx.invoke(command.commands[name])
        except SystemExit as status:
            failed |= bool(status.code)
    raise SystemExit(int(failed))


command.add_command(planted)
command.add_command(poison)
