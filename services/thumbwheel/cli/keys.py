"""`thumbwheel keys`: API keys of those who call, and the service's own secret keys."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, IntRange, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json, when
from thumbwheel.cli.versions import actor
from thumbwheel.records import ApiKey, Scope

if TYPE_CHECKING:
    from thumbwheel.store.api_keys import SqlApiKeys

_DAY_US = 86_400_000_000
_MOST_DAYS = 36_500


@click.group(name="keys")
def command() -> None:
    """API keys of those who call the service; and the service's own secret keys.

    API keys (`create NAME`, `list`, `revoke`) are given to callers, and asked for where auth.mode is `keys`. They are
    in the database.

    The service's secret keys sign feedback tokens and make users' pseudonyms; nobody else sees them. They are in a file
    (`create` without a name, `rotate`).

    \b
    thumbwheel keys create shop --scope infer --scope feedback
    thumbwheel keys list
    """


@command.command(short_help="Make an API key; without NAME the service's key file.")
@click.argument("name", required=False, default="")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the key is good for; may be said several times.",
)
@click.option(
    "--days",
    type=IntRange(0, _MOST_DAYS),
    default=365,
    show_default=True,
    help="Days until the key expires; 0: never.",
)
@click.option("--reason", default="asked for at the command line", help="Why; the audit trail keeps it.")
@json_option
@pass_context
def create(context: Context, name: str, scopes: tuple[str, ...], days: int, reason: str) -> None:
    """Make an API key for a caller, and show it, once.

    Without NAME: make the service's key file, if there is none: in the home, or where feedback.keys_file says.
    `thumbwheel up` makes it by itself. Processes that run apart (`serve`, `web`) need the same one, so it is made once
    and given to all.

    \b
    thumbwheel keys create shop --scope infer --scope feedback --days 90
    thumbwheel keys create ops --scope admin --reason "on call"
    thumbwheel --set feedback.keys_file=/etc/thumbwheel/keys.json keys create
    """
    if not name:
        if scopes:
            raise click.UsageError("name the API key: thumbwheel keys create NAME --scope SCOPE")
        _make_key_file(context)
        return
    if not scopes:
        raise click.UsageError(f"say what the key is good for: --scope {', --scope '.join(Scope)}")
    from thumbwheel.access.api_keys import new_key, read_name

    shown, key_id, verifier = new_key()
    now_us = _now_us()
    expires_us = now_us + days * _DAY_US if days else 0
    given = tuple(scope for scope in Scope if scope.value in scopes)
    key = ApiKey(key_id, read_name(name), given, verifier, now_us, actor(), expires_us)
    with closing(_table(context)) as table:
        table.add(key, reason)
    if context.json:
        emit_json({"name": name, "id": key_id, "key": shown, "scopes": list(given), "expires": when(expires_us)})
        return
    click.echo(shown)
    ends = f"until {when(expires_us)}" if expires_us else "for good"
    click.echo(f"good for {', '.join(given)}, {ends}; it is shown this once, only a hash of it is kept", err=True)
    if context.settings.auth.mode == "off":
        click.echo("keys are not asked for yet: set auth.mode=keys", err=True)


@command.command(name="list", short_help="List the API keys, without their secrets.")
@json_option
@pass_context
def list_(context: Context) -> None:
    """List the API keys, also those that expired or were revoked; what they are themselves nobody can show again.

    \b
    thumbwheel keys list --json
    """
    with closing(_table(context)) as table:
        keys = table.all()
    emit(
        context,
        [_row(key) for key in keys],
        empty="no API keys yet; make one: thumbwheel keys create NAME --scope infer",
    )


@command.command(short_help="Revoke an API key: within a second it is refused.")
@click.argument("name")
@click.option("--reason", required=True, help="Why; the audit trail keeps it.")
@pass_context
def revoke(context: Context, name: str, reason: str) -> None:
    """Revoke an API key, by its name or its id: within a second every process refuses it.

    \b
    thumbwheel keys revoke shop --reason "was in a public repository"
    """
    with closing(_table(context)) as table:
        was = table.revoke(name, _now_us(), actor(), reason)
    done = "was revoked before; nothing was changed" if was.revoked_us else "is revoked"
    click.echo(f"{was.name} ({was.key_id}) {done}")


@command.command(short_help="Make a new signing key; earlier ones still verify.")
@pass_context
def rotate(context: Context) -> None:
    """Make a new key that signs feedback tokens; the earlier ones go on verifying what they signed, until it expires.

    The service takes it up when it is started again. API keys are not concerned.

    \b
    thumbwheel keys rotate
    """
    from thumbwheel.feedback.keys import rotate_token_key

    settings = context.settings
    keys = rotate_token_key(settings.keys_path, _now_us(), settings.feedback.token_ttl_s)
    click.echo(f"key {keys.active.key_id} signs once the service is started again; earlier keys still verify")


def _make_key_file(context: Context) -> None:
    from thumbwheel.feedback.keys import load_or_make_keys

    path = context.settings.keys_path
    there = path.exists()
    load_or_make_keys(path, _now_us())
    click.echo(f"{path} {'was there, and is left as it is' if there else 'made; keep a copy: lost keys void votes'}")


def _table(context: Context) -> SqlApiKeys:
    from thumbwheel.app.admission import open_api_keys

    return open_api_keys(context.settings)


def _row(key: ApiKey) -> dict[str, object]:
    state = "good" if key.is_good(_now_us()) else "revoked" if key.revoked_us else "expired"
    return {
        "name": key.name,
        "id": key.key_id,
        "scopes": ", ".join(key.scopes),
        "state": state,
        "made": when(key.created_us),
        "by": key.created_by,
        "expires": when(key.expires_us) if key.expires_us else "never",
        "last used": when(key.last_used_us) if key.last_used_us else "never",
    }


def _now_us() -> int:
    return time.time_ns() // 1000
