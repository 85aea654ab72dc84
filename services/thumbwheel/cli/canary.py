"""`thumbwheel canary`: versions on trial among users."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import Context, FloatRange, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json, when
from thumbwheel.cli.versions import actor, show_move

if TYPE_CHECKING:
    from thumbwheel.client.admin import PolicyStatus
    from thumbwheel.client.trials import TrialReport

_REASON = click.option("--reason", required=True, help="Why; kept in the audit trail.")
_ACTOR = click.option("--actor", "who", default=actor, help="Who decides; you, if left out.")


@click.group(name="canary")
def command() -> None:
    """Try a version on a share of the users, or see how a trial stands.

    A new champion is watched likewise: users' thumbs on it are held against those on the one before, and it is rolled
    back when they find it worse. Each user has one voice, and what is decided is decided by evidence that may be looked
    at at any time.

    \b
    thumbwheel canary start support v3 --share 0.05 --reason "new spring texts"
    thumbwheel canary status support
    thumbwheel canary stop support --reason "customers complain about prices"
    """


@command.command(name="start", short_help="Let a version answer some users, who decide.")
@click.argument("policy")
@click.argument("version")
@click.option("--share", type=FloatRange(0, 0.5, min_open=True), help="Of users; canary.share, if left out.")
@click.option("--shadow", is_flag=True, help="Let nobody see its answers: only count how it does.")
@_REASON
@_ACTOR
@json_option
@pass_context
def start(
    context: Context, policy: str, version: str, share: float | None, shadow: bool, reason: str, who: str
) -> None:
    """Let VERSION answer a share of the users, who decide by their thumbs.

    \b
    thumbwheel canary start support v7 --reason "trained on the new catalogue"
    """
    with context.admin() as admin:
        if shadow:
            show_move(context, admin.set_shadow(policy, version, reason=reason, actor=who))
        else:
            _show(context, [admin.start_canary(policy, version, reason=reason, actor=who, share=share or 0.0)])


@command.command(name="stop", short_help="End the trial that is running.")
@click.argument("policy")
@click.option("--shadow", is_flag=True, help="Stop the shadow instead.")
@_REASON
@_ACTOR
@json_option
@pass_context
def stop(context: Context, policy: str, shadow: bool, reason: str, who: str) -> None:
    """End the trial that is running: a canary is withdrawn, a watched champion stays.

    \b
    thumbwheel canary stop support --reason "a holiday, votes are odd"
    """
    with context.admin() as admin:
        if shadow:
            show_move(context, admin.set_shadow(policy, "", reason=reason, actor=who))
        else:
            _show(context, [admin.stop_trial(policy, reason=reason, actor=who)])


@command.command(name="status", short_help="Show the latest trials, and how they stand.")
@click.argument("policy", required=False, default="")
@json_option
@pass_context
def status(context: Context, policy: str) -> None:
    """Show the latest trials of POLICY (of all, if none is named), newest first.

    \b
    thumbwheel canary status support
    """
    with context.admin() as admin:
        names = [policy] if policy else [one.policy for one in admin.policies()]
        trials = {name: admin.trials(name, limit=5) for name in names}
        shadows = {one.policy: _shadow(one) for one in admin.status().policies if one.shadow}
    _show(context, [one for name in names for one in (*([shadows[name]] if name in shadows else []), *trials[name])])


def _shadow(policy: PolicyStatus) -> TrialReport:
    """A shadow among trials: it runs until it is stopped, and nobody votes on what nobody sees."""
    from thumbwheel.client.trials import TrialReport

    return TrialReport(
        policy=policy.policy,
        kind="shadow",
        state="running",
        version=policy.shadow,
        control=policy.champion,
        share=0.0,
        started_us=0,
        ended_us=0,
        up=0,
        down=0,
        control_up=0,
        control_down=0,
        sentence="It answers unseen; thumbwheel_shadow_... at /metrics tell how it does.",
        evidence="",
    )


def _show(context: Context, trials: list[TrialReport]) -> None:
    if context.json:
        emit_json([asdict(trial) for trial in trials])
        return
    rows = [_row(trial) for trial in trials]
    emit(context, rows, empty="no version was on trial yet", prose="how it stands")


def _row(trial: TrialReport) -> dict[str, Any]:
    seen = trial.kind != "shadow"
    return {
        "policy": trial.policy,
        "trial": f"{trial.version} against {trial.control}",
        "kind": f"canary {trial.share:.1%}" if trial.share else trial.kind,
        "state": trial.state,
        "since": when(trial.started_us),
        "up": f"{trial.up}/{trial.up + trial.down}" if seen else "",
        "before": f"{trial.control_up}/{trial.control_up + trial.control_down}" if seen else "",
        "how it stands": trial.sentence,
    }
