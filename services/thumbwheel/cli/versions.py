"""`thumbwheel versions`, and what `promote` and `rollback` share with it."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json, when

if TYPE_CHECKING:
    from thumbwheel.client.admin import Moved, VersionSummary
    from thumbwheel.records import AuditEntry


@click.command(name="versions")
@click.argument("policy", required=False, default="")
@click.option("--history", is_flag=True, help="Show the audit trail instead: who did what, when and why.")
@json_option
@pass_context
def command(context: Context, policy: str, history: bool) -> None:
    """List the versions of a policy (of all, if none is named), newest first, with their live votes.

    \b
    thumbwheel versions
    thumbwheel versions --history               audit trail: moves, runs, erasures
    """
    with context.admin() as admin:
        if history:
            _show_history(context, admin.history(policy))
            return
        names = [policy] if policy else [one.policy for one in admin.policies()]
        versions = [version for name in names for version in admin.versions(name)]
    if context.json:
        emit_json([asdict(version) for version in versions])
        return
    rows = [_row(version) for version in versions]
    emit(context, rows, empty="no versions yet; make one with `thumbwheel policy init`")


def actor() -> str:
    """Return who is at the keyboard, for the audit trail."""
    return getpass.getuser()


def show_move(context: Context, moved: Moved) -> None:
    """Print what a channel points at now, or that it pointed there already."""
    if moved.previous == moved.version and not context.json:
        stands = f"{moved.version} is the {moved.channel} of {moved.policy} already"
        click.echo(f"{stands if moved.version else f'{moved.policy} has no {moved.channel}'}; nothing was changed")
        return
    emit(
        context,
        [{"policy": moved.policy, "channel": moved.channel, "was": moved.previous, "is": moved.version}],
    )


def _row(version: VersionSummary) -> dict[str, Any]:
    votes = version.votes
    return {
        "policy": version.policy,
        "version": version.version,
        "channel": ", ".join(version.channels),
        "parent": version.parent,
        "verdict": version.verdict,
        "answers": votes.responses,
        "thumbs": votes.thumbs_up + votes.thumbs_down,
        "up": votes.thumbs_up_rate,
        "made": when(version.created_us),
        "digest": version.digest.removeprefix("sha256:")[:12],
    }


def _show_history(context: Context, entries: Sequence[AuditEntry]) -> None:
    if context.json:
        emit_json([asdict(entry) for entry in entries])
        return
    rows = [
        {"time": when(entry.time_us), "policy": entry.policy, "by": entry.actor, "what and why": _done(entry)}
        for entry in entries
    ]
    emit(context, rows, empty="nothing was done yet", prose="what and why")


def _done(entry: AuditEntry) -> str:
    moved = f"{entry.channel} {entry.previous or 'none'} -> {entry.version or 'none'}"
    return f"{moved if entry.channel else f'{entry.action}, {entry.subject}'}: {entry.reason}"
