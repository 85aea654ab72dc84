"""`thumbwheel retrain`: a run now, or the process that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit_json
from thumbwheel.cli.versions import actor
from thumbwheel.records import RunState

if TYPE_CHECKING:
    from thumbwheel.app.processes.retrain import Outcome

_STOPPED = 75  # sysexits.h: try again


@click.command(name="retrain")
@click.argument("policy", required=False, default="")
@click.option("--watch", is_flag=True, help="Train here, as the schedule says and when asked, until stopped.")
@click.option("--once", is_flag=True, help="Train here what is due, then leave: for a cron job.")
@json_option
@pass_context
def command(context: Context, policy: str, watch: bool, once: bool) -> None:
    """Start a training run of POLICY now, whatever the schedule says. Watch it with `thumbwheel runs`.

    `up` begins it at once. Beside `serve` it waits for a process that trains: --watch goes on until it is stopped;
    --once does the runs that were asked for, and those that are due by schedule.cron or schedule.min_new_votes (with
    neither: of every policy with new votes). Its exit status is 0 when each ended in a verdict, or none was due, or
    its policy is at work elsewhere; 1 when one failed; 75 when it was stopped before the end: start it again.

    \b
    thumbwheel retrain support
    thumbwheel --set schedule.min_new_votes=2500 retrain --watch
    thumbwheel retrain --once
    """
    if sum((bool(policy), watch, once)) != 1:
        raise click.UsageError("say one of POLICY, --watch and --once")
    if watch:
        _watch(context)
    elif once:
        _once(context)
    else:
        _ask(context, policy)


def _ask(context: Context, policy: str) -> None:
    with context.admin() as admin:
        run_id = admin.start_run(policy, actor=actor())
        state = admin.run(run_id).state
    if context.json:
        emit_json({"run_id": run_id, "state": state})
    elif state is RunState.QUEUED:
        click.echo(f"queued; `thumbwheel retrain --watch` or `--once` begins it; see it with: thumbwheel runs {run_id}")
    else:
        click.echo(f"started; see it with: thumbwheel runs {run_id}")


def _watch(context: Context) -> None:
    import asyncio

    from thumbwheel.app.processes import retrain
    from thumbwheel.telemetry.logging import configure_logging

    settings = context.settings
    schedule = settings.schedule
    causes = [f"at `{schedule.cron}` UTC"] * bool(schedule.cron)
    causes += [f"after {schedule.min_new_votes:,} new votes"] * bool(schedule.min_new_votes)
    causes += [f"after new votes ({schedule.min_new_votes_of})"] * bool(schedule.min_new_votes_of)
    configure_logging(settings.telemetry)

    def show(probes: str) -> None:
        click.echo(
            f"training {', '.join([*causes, 'when asked'])}; runs in {settings.runs_dir}, probes {probes}/healthz"
        )

    asyncio.run(retrain.watch(settings, show))


def _once(context: Context) -> None:
    import asyncio

    from thumbwheel.app.processes import retrain
    from thumbwheel.telemetry.logging import configure_logging

    configure_logging(context.settings.telemetry)
    outcomes: list[Outcome] = []

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if not context.json:
            click.echo(_line(outcome))

    whole = asyncio.run(retrain.once(context.settings, told))
    if context.json:
        emit_json([_fields(one) for one in outcomes])
    elif not outcomes:
        click.echo("nothing was due")
    if not whole:
        raise SystemExit(_STOPPED)
    if any(one.run is not None and one.run.state is RunState.FAILED for one in outcomes):
        raise SystemExit(1)


def _line(outcome: Outcome) -> str:
    run = outcome.run
    if run is None:
        return f"{outcome.policy}: not begun: {outcome.problem}"
    said = outcome.problem or run.summary or "it goes on at the next start"
    return f"{outcome.policy}: {run.run_id} {run.state}: {said}"


def _fields(outcome: Outcome) -> dict[str, object]:
    run = outcome.run
    return {
        "policy": outcome.policy,
        "run_id": run.run_id if run else "",
        "state": run.state if run else "",
        "version": run.candidate_version if run else "",
        "problem": outcome.problem,
    }
