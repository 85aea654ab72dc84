"""`thumbwheel completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  echo 'eval "$(thumbwheel completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(thumbwheel completion zsh)"' >> ~/.zshrc
    fish:  thumbwheel completion fish > ~/.config/fish/completions/thumbwheel.fish
    """
    from thumbwheel.cli.main import group

    shell_class = get_completion_class(shell)
    if shell_class is None:  # pragma: no cover - click knows all three
        raise click.ClickException(f"no completion for {shell}")
    click.echo(shell_class(group, {}, "thumbwheel", "_THUMBWHEEL_COMPLETE").source())
