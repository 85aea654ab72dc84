"""What `/healthz` says of a process."""

from __future__ import annotations

from collections.abc import Container

from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.web.deps import Health, HealthState


def health(policies: ServedPolicies, troubled: Container[str], draining: bool, unlogged: bool = False) -> Health:
    """Return the state of what `policies` serve; `troubled` are those whose champion can't be loaded.

    `unlogged`: the last answers could not be kept. What exactly is wrong is for operators: the status, their page and
    the log tell.
    """
    parts = {one.policy: _part(policies, one.policy, one.policy in troubled) for one in policies.known()}
    if unlogged:
        parts["request log"] = "refuses: answers are served, but can't be voted on"
    if draining or not policies.serving:
        return Health(HealthState.NOT_SERVING, parts)
    whole = not unlogged and not any(policy in troubled for policy in parts)
    return Health(HealthState.SERVING if whole else HealthState.DEGRADED, parts)


def beside(served: Health, part: str, problem: str) -> Health:
    """Return what a process says that does more than to serve: a `problem` there degrades it, and is told."""
    if not problem:
        return served
    state = HealthState.NOT_SERVING if served.state is HealthState.NOT_SERVING else HealthState.DEGRADED
    return Health(state, {**served.parts, part: problem})


def _part(policies: ServedPolicies, policy: str, is_troubled: bool) -> str:
    served = ", ".join(f"{served.channel} {served.ref.version}" for served in policies.served(policy))
    if not is_troubled:
        return served or "loading"
    return f"{served} instead of one that can't be loaded" if served else "not served: its champion can't be loaded"
