"""`thumbwheel judge`: all gates on any version, changing nothing."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json
from thumbwheel.errors import UnknownPolicy

if TYPE_CHECKING:
    from thumbwheel.config.settings import Settings
    from thumbwheel.retrain.dry_run import DryRun


@click.command(name="judge")
@click.argument("policy")
@click.argument("version")
@json_option
@pass_context
def command(context: Context, policy: str, version: str) -> None:
    """Hold VERSION of POLICY against the champion by every gate, with the votes there are now, in this home.

    Nothing is changed. The exit status is 0 only if it would be promoted. For `generate` a reward model is fitted
    first, which takes as long as in a run.

    \b
    thumbwheel judge support v3
    """
    settings = context.settings
    _demand_store(settings, policy)
    from thumbwheel.app.storage import open_learned
    from thumbwheel.cli.show import Bars
    from thumbwheel.retrain.dry_run import judge_version
    from thumbwheel.retrain.learners import learner_for

    with open_learned(settings) as (store, registry), Bars(stderr=True) as bars:
        found = judge_version(store, registry, settings, learner_for, policy, version, partial(bars.learning, policy))
    _show(context, found)
    if not found.verdict.promote:
        raise SystemExit(1)


def _demand_store(settings: Settings, policy: str) -> None:
    """Refuse a home where nothing was ever kept, and leave it so: opening the store would make one there."""
    if not settings.database.url and not (settings.home / "store.sqlite").exists():
        raise UnknownPolicy.among(policy, [])


def _show(context: Context, found: DryRun) -> None:
    if context.json:
        emit_json(asdict(found))
        return
    click.echo(f"{found.policy}: {found.version} against the champion {found.champion}, {found.votes:,} votes")
    emit(context, [_row(gate) for gate in found.verdict.gates], prose="says")
    click.echo(found.verdict.summary)


def _row(gate: Any) -> dict[str, Any]:
    names = ("name", "passed", "value", "threshold", "low", "high")
    return {**{name: getattr(gate, name) for name in names}, "says": gate.sentence}
