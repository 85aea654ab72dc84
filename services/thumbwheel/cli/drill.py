"""`thumbwheel drill`: what must not reach users, made on purpose, and whether it is stopped.

Each drill is a command in a file of its own, and a line at the end of this one.
"""

from __future__ import annotations

import click

from thumbwheel.cli.drill_poison import poison


@click.group(name="drill")
def command() -> None:
    """Make what must not reach users on purpose, and see whether it is stopped. Nothing of it touches this home."""


command.add_command(poison)
