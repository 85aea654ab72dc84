"""`thumbwheel status`: where the loop stands."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit, emit_json, when

if TYPE_CHECKING:
    from thumbwheel.client.admin import PolicyStatus


@click.command(name="status")
@json_option
@pass_context
def command(context: Context) -> None:
    """Show the state of the loop: versions served, votes waiting, and what starts the next run.

    \b
    thumbwheel status
    thumbwheel status --json
    """
    with context.admin() as admin:
        status = admin.status()
    if context.json:
        emit_json(asdict(status))
        return
    click.echo(f"Thumbwheel {status.service_version}, up since {when(status.started_us)} UTC, home {status.home}")
    click.echo(
        f"{status.log_backlog_events} events on their way into the store, "
        f"{status.orphan_votes} votes waiting for their answer, {status.dead_letters} dead letters"
    )
    if status.log_problem:
        click.secho(f"log: {status.log_problem}", fg="red")
    for one in status.policies:
        if one.problem:
            click.secho(f"{one.policy}: {one.problem}", fg="red")
        if one.trial is not None and one.trial.state == "running":
            click.echo(
                f"{one.policy}: {one.trial.version} is on trial ({one.trial.kind}). {one.trial.sentence}".rstrip()
            )
        if one.shadow:
            click.echo(f"{one.policy}: {one.shadow} is its shadow and answers unseen")
        if one.new_other_votes:
            kinds = "is of a kind" if one.new_other_votes == 1 else "are of kinds"
            others = counted(one.new_other_votes, "more vote")
            click.echo(f"{one.policy}: {others} {kinds} that nothing learns from yet")
    rows = [
        {
            "policy": one.policy,
            "kind": one.kind,
            "champion": one.champion,
            "canary": one.canary,
            "thumbs": one.thumbs,
            "up": one.thumbs_up_rate,
            "new votes": one.new_votes,
            "next run": _next_run(one),
        }
        for one in status.policies
    ]
    emit(context, rows, empty="no policy is served; make one with `thumbwheel policy init`")


def _next_run(one: PolicyStatus) -> str:
    if one.running_run_id:
        return f"now: {one.running_step or 'starting'}"
    reasons = [f"at {one.votes_needed} new votes"] if one.votes_needed else []
    reasons += [f"{when(one.next_run_us)} UTC"] if one.next_run_us else []
    return ", or ".join(reasons) or "when asked for"
