"""`thumbwheel runs`: what was learned, and what the gates said."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import Context, IntRange, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json, when
from thumbwheel.records import RunState

if TYPE_CHECKING:
    from thumbwheel.client import AdminClient
    from thumbwheel.records import Run


@click.command(name="runs")
@click.argument("run_id", required=False, default="")
@click.option("--policy", default="", help="Only runs of this policy.")
@click.option("--limit", type=IntRange(1, 1_000), default=20, show_default=True, help="How many, newest first.")
@json_option
@pass_context
def command(context: Context, run_id: str, policy: str, limit: int) -> None:
    """List training runs, or show one with its gates.

    \b
    thumbwheel runs
    thumbwheel runs support-20261121-045359-94e9
    """
    with context.admin() as admin:
        if not run_id:
            runs = admin.runs(policy, limit)
            if context.json:
                emit_json([asdict(run) for run in runs])
            else:
                far = _how_far(admin) if any(run.state is RunState.RUNNING for run in runs) else {}
                rows = [_row(run, far.get(run.run_id, "")) for run in runs]
                emit(context, rows, empty="no runs yet", prose="summary")
            return
        run = admin.run(run_id)
    if context.json:
        emit_json(asdict(run))
        return
    # of one that was judged the step says nothing: it is the last
    at = f" at {run.step}" if run.state in (RunState.RUNNING, RunState.FAILED) else ""
    click.echo(f"{run.policy}: {run.state}{at}, {run.votes} votes, {run.parent_version} as the start")
    click.echo(run.error or run.summary)
    emit(context, [_gate_row(gate) for gate in run.gates], empty="not judged", prose="says")
    for gate in run.gates:
        if not gate.passed:
            click.echo(f"why, and what to do: thumbwheel gates explain {gate.name}")
    if run.report_path:
        click.echo(f"report: {run.report_path}")


def _how_far(admin: AdminClient) -> dict[str, str]:
    """By run: the step it is in, and how far within it, where that is known."""
    running = [one for one in admin.status().policies if one.running_run_id and one.running_step]
    return {
        one.running_run_id: one.running_step + (f" {one.running_progress:.0%}" if one.running_progress else "")
        for one in running
    }


def _row(run: Run, far: str) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "state": (far or run.step) if run.state is RunState.RUNNING else run.state,
        "votes": run.votes,
        "from": run.parent_version,
        "to": run.candidate_version,
        "started": when(run.started_us),
        "seconds": (run.ended_us - run.started_us) // 1_000_000 if run.ended_us else "",
        "summary": run.error or run.summary,
    }


def _gate_row(gate: Any) -> dict[str, Any]:
    return {
        "gate": gate.name,
        "passed": gate.passed,
        "value": gate.value,
        "threshold": gate.threshold,
        "low": gate.low,
        "high": gate.high,
        "says": gate.sentence,
    }
