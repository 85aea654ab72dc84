"""Leases and the pointer: an engine is closed after its last request, and never before."""

from __future__ import annotations

import asyncio

import pytest

from thumbwheel.errors import Unavailable, UnknownPolicy
from thumbwheel.inference.engine import EngineLimits
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.records import Channel, PolicyKind, VersionRef


class RecordingEngine:
    kind = PolicyKind.CLASSIFY
    limits = EngineLimits()
    healthy = True

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        assert not self.closed
        self.closed = True


def serve(policies: ServedPolicies, version: str) -> RecordingEngine:
    engine = RecordingEngine()
    policies.install(Served(VersionRef("intent", version, f"sha256:{version}"), Channel.CHAMPION, engine))
    return engine


def closed(engines: list[RecordingEngine]) -> list[bool]:
    return [engine.closed for engine in engines]


@pytest.fixture
def policies() -> ServedPolicies:
    made = ServedPolicies()
    made.learn_of({"intent": PolicyKind.CLASSIFY})
    return made


async def test_requests_finish_on_the_engine_they_started_on(policies: ServedPolicies) -> None:
    first = serve(policies, "v1")
    with policies.choose("intent", "").lease() as old:
        second = serve(policies, "v2")
        with policies.choose("intent", "").lease() as new:
            assert (old.engine, new.engine) == (first, second)
            assert (old.ref.version, new.ref.version) == ("v1", "v2")
        for _ in range(5):
            await asyncio.sleep(0)
        assert closed([first]) == [False]
        assert [one.ref.version for one in policies.retiring()] == ["v1"]
    await policies.settled()
    assert closed([first, second]) == [True, False]
    assert policies.retiring() == []


async def test_two_swaps_during_one_request_keep_both_orders(policies: ServedPolicies) -> None:
    engines = [serve(policies, "v1")]
    with policies.choose("intent", "").lease():
        engines += [serve(policies, "v2"), serve(policies, "v3")]
        while not engines[1].closed:
            await asyncio.sleep(0)
        assert closed(engines) == [False, True, False]
    await policies.close()
    assert closed(engines) == [True, True, True]


async def test_a_failed_request_gives_its_lease_back(policies: ServedPolicies) -> None:
    engine = serve(policies, "v1")
    with pytest.raises(RuntimeError), policies.choose("intent", "").lease():
        raise RuntimeError
    await policies.close()
    assert engine.closed


async def test_readiness_follows_what_serves(policies: ServedPolicies) -> None:
    heard: list[bool] = []
    policies.watch(lambda: heard.append(policies.ready))
    assert not policies.ready
    with pytest.raises(Unavailable):
        policies.choose("intent", "")
    serve(policies, "v1")
    policies.learn_of({"intent": PolicyKind.CLASSIFY, "chat": PolicyKind.GENERATE})
    policies.learn_of({"intent": PolicyKind.CLASSIFY, "chat": PolicyKind.GENERATE})
    policies.learn_of({"intent": PolicyKind.CLASSIFY})
    policies.withdraw("intent", Channel.CHAMPION)
    assert heard == [True, False, True, False]
    assert not ServedPolicies().ready


def test_before_the_registry_was_read_no_policy_is_unknown() -> None:
    policies = ServedPolicies()
    with pytest.raises(Unavailable, match="does not know its policies yet: try again") as early:
        policies.resolve("intent", PolicyKind.CLASSIFY)
    assert early.value.retry_after_s == 1.0
    policies.learn_of({})
    with pytest.raises(UnknownPolicy, match="'intent' is not a policy of kind classify; there is: none"):
        policies.resolve("intent", PolicyKind.CLASSIFY)


async def test_one_policy_that_serves_is_enough_once_all_were_tried(policies: ServedPolicies) -> None:
    heard: list[bool] = []
    policies.learn_of({"intent": PolicyKind.CLASSIFY, "chat": PolicyKind.GENERATE})
    serve(policies, "v1")
    policies.watch(lambda: heard.append(policies.serving))
    assert not policies.serving  # chat may still be loading
    policies.all_tried()
    policies.all_tried()
    policies.withdraw("intent", Channel.CHAMPION)
    assert heard == [True, False]


def test_names_are_resolved_by_kind(policies: ServedPolicies) -> None:
    assert policies.resolve("", PolicyKind.CLASSIFY) == policies.resolve("intent", PolicyKind.CLASSIFY) == "intent"
    with pytest.raises(UnknownPolicy, match="there is: none"):
        policies.resolve("", PolicyKind.GENERATE)
    with pytest.raises(UnknownPolicy, match="'x' is not a policy of kind classify; there is: intent"):
        policies.resolve("x", PolicyKind.CLASSIFY)
    with pytest.raises(UnknownPolicy, match=r"'intent' is of kind classify: call classify\(\)"):
        policies.resolve("intent", PolicyKind.GENERATE)
