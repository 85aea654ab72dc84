"""What operators are told of all replicas together."""

from __future__ import annotations

import pytest

from thumbwheel.admin.ports import Swap
from thumbwheel.app.replicas import Replicas, Standing
from thumbwheel.web.deps import Health, HealthState

WELL = Standing(True, {"desk": "v2"}, {}, {"desk": ("v2", 0.5)})
BEHIND = Standing(True, {"desk": "v1"}, {"desk": "v2 can't be loaded; v1 is served instead"}, {"desk": ("v1", 9.0)})
FULL = Standing(True, {"desk": "v2"}, unlogged=True)
LAPSED = Standing(False, {"desk": "v2"})


@pytest.mark.parametrize(
    ("standings", "state"),
    [
        ({}, HealthState.NOT_SERVING),
        ({"a": WELL, "b": WELL}, HealthState.SERVING),
        ({"a": WELL, "b": BEHIND}, HealthState.DEGRADED),
        ({"a": WELL, "b": LAPSED}, HealthState.DEGRADED),
        ({"a": WELL, "b": FULL}, HealthState.DEGRADED),
        ({"a": LAPSED, "b": LAPSED}, HealthState.NOT_SERVING),
    ],
)
def test_health_is_of_all_of_them(standings: dict[str, Standing], state: HealthState) -> None:
    replicas = Replicas()
    replicas.learn(standings)
    assert replicas.health().state is state


def test_what_nobody_told_again_is_forgotten() -> None:
    """The keeper is dead, or Ray is: what was well the last time it was heard of is not known to be well now."""
    now = 100.0
    replicas = Replicas(lambda: now)
    replicas.learn({"a": WELL, "b": BEHIND})
    now += 9.0
    assert replicas.health().state is HealthState.DEGRADED
    now += 1.0
    assert replicas.health() == Health(HealthState.NOT_SERVING, {})
    assert (replicas.problem("desk"), replicas.last_swap("desk")) == ("", Swap())
    replicas.learn({"a": WELL})
    assert replicas.health().state is HealthState.SERVING


def test_one_replica_that_is_behind_is_a_problem_and_the_slowest_swap_counts() -> None:
    replicas = Replicas()
    assert (replicas.problem("desk"), replicas.last_swap("desk")) == ("", Swap())
    slow = Standing(True, {"desk": "v2"}, {}, {"desk": ("v2", 0.75)})
    replicas.learn({"a": WELL, "b": slow, "c": BEHIND})
    assert replicas.problem("desk").startswith("v2 can't be loaded")
    assert replicas.last_swap("desk") == Swap("v2", 0.75)
    assert replicas.health().parts["replica a"] == "desk v2"
