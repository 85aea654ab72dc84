"""What /healthz says when not everything is well."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from thumbwheel.app.health import beside, health
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.records import Channel, PolicyKind, VersionRef
from thumbwheel.web.deps import Health, HealthState


@pytest.fixture
def policies() -> ServedPolicies:
    """`chat` is not served, `intent` is."""
    made = ServedPolicies()
    made.learn_of({"intent": PolicyKind.CLASSIFY, "chat": PolicyKind.GENERATE})
    serve(made, "intent")
    return made


def serve(policies: ServedPolicies, policy: str) -> None:
    engine: Any = SimpleNamespace()
    policies.install(Served(VersionRef(policy, "v1", "sha256:ab"), Channel.CHAMPION, engine))


async def test_while_policies_are_loaded_it_does_not_serve(policies: ServedPolicies) -> None:
    found = health(policies, set(), draining=False)
    assert found.state is HealthState.NOT_SERVING
    assert found.parts == {"chat": "loading", "intent": "champion v1"}


async def test_one_policy_that_can_not_be_served_degrades_the_process(policies: ServedPolicies) -> None:
    policies.all_tried()
    found = health(policies, {"chat"}, draining=False)
    assert found.state is HealthState.DEGRADED
    assert found.parts == {"chat": "not served: its champion can't be loaded", "intent": "champion v1"}


async def test_an_older_version_in_the_champions_place_degrades_the_process(policies: ServedPolicies) -> None:
    serve(policies, "chat")
    policies.all_tried()
    assert health(policies, set(), draining=False).state is HealthState.SERVING
    found = health(policies, {"chat"}, draining=False)
    assert found.state is HealthState.DEGRADED
    assert found.parts["chat"] == "champion v1 instead of one that can't be loaded"


async def test_a_policy_made_later_does_not_close_the_door_while_it_is_loaded(policies: ServedPolicies) -> None:
    policies.all_tried()
    assert health(policies, set(), draining=False).state is HealthState.SERVING


async def test_who_drains_does_not_serve(policies: ServedPolicies) -> None:
    policies.all_tried()
    assert health(policies, set(), draining=True).state is HealthState.NOT_SERVING


async def test_with_no_policy_served_it_does_not_serve() -> None:
    nothing = ServedPolicies()
    nothing.learn_of({"chat": PolicyKind.GENERATE})
    nothing.all_tried()
    assert health(nothing, {"chat"}, draining=False).state is HealthState.NOT_SERVING


async def test_answers_that_can_not_be_voted_on_degrade_the_process(policies: ServedPolicies) -> None:
    policies.all_tried()
    found = health(policies, set(), draining=False, unlogged=True)
    assert found.state is HealthState.DEGRADED
    assert found.parts["request log"].startswith("refuses")


def test_what_stands_still_beside_serving_degrades_the_process_and_is_told() -> None:
    well = Health(HealthState.SERVING, {"intent": "champion v1"})
    assert beside(well, "ingest of events", "") is well
    found = beside(well, "ingest of events", "the database is away")
    assert found.state is HealthState.DEGRADED
    assert found.parts == {"intent": "champion v1", "ingest of events": "the database is away"}
    closed = beside(Health(HealthState.NOT_SERVING), "ingest of events", "the database is away")
    assert closed.state is HealthState.NOT_SERVING
