"""`thumbwheel gates`: what a candidate must show."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json

if TYPE_CHECKING:
    from thumbwheel.gates.explain import Explained


@click.group(name="gates")
def command() -> None:
    """Show what a candidate must show before users meet it.

    \b
    thumbwheel gates show
    thumbwheel gates explain kl_budget
    thumbwheel --set gates.file=gates.toml gates show
    """


@command.command(name="show", short_help="Show every gate with the threshold in force.")
@json_option
@pass_context
def show(context: Context) -> None:
    """Show every gate with the threshold that is in force, as settings and `gates.file` say.

    \b
    thumbwheel gates show
    """
    gates = _gates(context, "")
    if context.json:
        emit_json([asdict(gate) for gate in gates])
        return
    emit(
        context,
        [
            {
                "gate": gate.name,
                "for": ", ".join(gate.kinds),
                "threshold": "-" if gate.threshold is None else f"{gate.threshold:g}",
                "range": gate.range,
                "title": gate.title,
            }
            for gate in gates
        ],
    )


@command.command(name="explain", short_help="Say what a gate asks, why, and what to do about it.")
@click.argument("gate", required=False, default="")
@json_option
@pass_context
def explain(context: Context, gate: str) -> None:
    """Explain GATE, or every gate: what it asks, why, its threshold, and what to do when a candidate fails it.

    \b
    thumbwheel gates explain off_policy_snips
    """
    gates = _gates(context, gate)
    if context.json:
        emit_json([asdict(one) for one in gates])
        return
    for one in gates:
        _tell(one)


def _gates(context: Context, name: str) -> list[Explained]:
    from thumbwheel.gates.explain import explained
    from thumbwheel.gates.threshold_file import in_force

    return explained(in_force(context.settings.gates), name)


def _tell(gate: Explained) -> None:
    click.secho(f"{gate.name}: {gate.title} ({', '.join(gate.kinds)})", bold=True)
    click.echo(f"  asks       {gate.asks}")
    click.echo(f"  why        {gate.why}")
    if gate.threshold is None:
        click.echo(f"  threshold  none to set: {gate.unit}")
    else:
        click.echo(f"  threshold  {gate.threshold:g} ({gate.unit}); {gate.setting}, {gate.range}")
    click.echo(f"  if it fails: {gate.cure}\n")
