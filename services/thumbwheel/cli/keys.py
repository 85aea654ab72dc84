"""`thumbwheel keys`: the service's secret keys."""

from __future__ import annotations

import time

import click

from thumbwheel.cli.context import Context, pass_context


@click.group(name="keys")
def command() -> None:
    """Make the secret keys, or change the one that signs feedback tokens."""


@command.command(short_help="Make the key file, if there is none.")
@pass_context
def create(context: Context) -> None:
    """Make the key file, if there is none: in the home, or where feedback.keys_file says.

    `thumbwheel up` makes it by itself. Processes that run apart (`serve`, `web`) need the same one, so it is made once
    and given to all.

    \b
    thumbwheel --set feedback.keys_file=/etc/thumbwheel/keys.json keys create
    """
    from thumbwheel.feedback.keys import load_or_make_keys

    path = context.settings.keys_path
    there = path.exists()
    load_or_make_keys(path, time.time_ns() // 1000)
    click.echo(f"{path} {'was there, and is left as it is' if there else 'made; keep a copy: lost keys void votes'}")


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
