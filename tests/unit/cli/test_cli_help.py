"""Help teaches by example: no command is without one."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from thumbwheel.cli.main import group


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below this one, and itself, by the words that call it."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *path, name)


@pytest.mark.parametrize(("words", "command"), list(commands(group, "thumbwheel")))
def test_the_help_of_a_command_has_an_example(words: str, command: click.Command) -> None:
    lines = [line.strip() for line in (command.help or "").splitlines()]
    assert any("thumbwheel " in line and not line.endswith(".") for line in lines), words
