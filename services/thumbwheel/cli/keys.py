"""`thumbwheel keys`: the secret keys in the home folder."""

from __future__ import annotations

import time

import click

from thumbwheel.cli.context import Context, pass_context


@click.group(name="keys")
def command() -> None:
    """Change the key that signs feedback tokens."""


@command.command(short_help="Make a new signing key; earlier ones still verify.")
@pass_context
def rotate(context: Context) -> None:
    """Make a new signing key; the earlier ones go on verifying what they signed, until it expires.

    The service takes it up when it is started again.

    \b
    thumbwheel keys rotate
    """
    from thumbwheel.feedback.keys import rotate_token_key

    settings = context.settings
    keys = rotate_token_key(settings.keys_path, time.time_ns() // 1000, settings.feedback.token_ttl_s)
    click.echo(f"key {keys.active.key_id} signs once the service is started again; earlier keys still verify")
