"""Following the registry when loading fails: what serves goes on, and the next try comes later and later."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from thumbwheel.errors import Conflict, DamagedArtifact, Unavailable, UnservableVersion
from thumbwheel.inference import reconcile
from thumbwheel.inference.engine import Engine, EngineLimits
from thumbwheel.inference.reconcile import Reconciler
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.telemetry.metrics import Metrics


class StubEngine:
    kind = PolicyKind.CLASSIFY
    limits = EngineLimits()
    healthy = True

    async def close(self) -> None:
        pass


class StubLoader:
    """Loads anything but what is listed as broken."""

    def __init__(self) -> None:
        self.broken: dict[str, Exception] = {}
        self.tries: list[str] = []

    async def load(self, kind: PolicyKind, folder: Path) -> Engine:
        self.tries.append(folder.name)
        if folder.name in self.broken:
            raise self.broken[folder.name]
        return StubEngine()

    def close(self) -> None:
        pass


class StubRegistry:
    """A registry of which only what a reconciler reads is there."""

    def __init__(self) -> None:
        self.number = 1
        self.champion = "v1"
        self.reads = 0

    def generation(self) -> int:
        return self.number

    def policies(self) -> list[tuple[str, PolicyKind]]:
        self.reads += 1
        return [("intent", PolicyKind.CLASSIFY)]

    def channels(self, policy: str) -> dict[Channel, str]:
        return {Channel.CHAMPION: self.champion} if self.champion else {}

    def manifest(self, policy: str, version: str) -> Any:
        return SimpleNamespace(digest=f"sha256:{version}")

    def fetch(self, policy: str, version: str) -> Path:
        return Path(version)

    def earlier_champions(self, policy: str) -> list[str]:
        return {"v3": ["v2", "v1"], "v2": ["v1"]}.get(self.champion, [])

    def point(self, version: str) -> None:
        self.champion = version
        self.number += 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock = Clock()
    monkeypatch.setattr(reconcile, "monotonic", clock)
    registry, policies, loader, metrics = StubRegistry(), ServedPolicies(), StubLoader(), Metrics()
    made = Reconciler(registry, policies, loader, metrics.version, 1.0)  # type: ignore[arg-type]
    return SimpleNamespace(
        clock=clock, registry=registry, policies=policies, loader=loader, metrics=metrics, reconciler=made
    )


def version(parts: Any) -> str:
    return str(parts.policies.served("intent")[0].ref.version)


async def test_nothing_is_read_or_loaded_while_nothing_moved(parts: Any) -> None:
    for _ in range(4):
        await parts.reconciler.reconcile()
    assert (parts.registry.reads, parts.loader.tries, version(parts)) == (1, ["v1"], "v1")


async def test_two_looks_at_once_load_a_version_once(parts: Any) -> None:
    await asyncio.gather(parts.reconciler.reconcile(), parts.reconciler.reconcile())
    assert (parts.loader.tries, version(parts)) == (["v1"], "v1")


@pytest.mark.parametrize("error", [DamagedArtifact("v2: altered"), ValueError("odd weights"), OSError(5, "io")])
async def test_a_version_that_fails_is_tried_again_less_and_less_often(parts: Any, error: Exception) -> None:
    await parts.reconciler.reconcile()
    parts.loader.broken["v2"] = error
    parts.registry.point("v2")
    tries = []
    for second in range(130):
        parts.clock.now = 1000.0 + second
        before = len(parts.loader.tries)
        await parts.reconciler.reconcile()
        tries += [second] * (len(parts.loader.tries) - before)
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123]
    assert version(parts) == "v1"
    parts.loader.broken.clear()
    parts.reconciler.retry_now()
    await parts.reconciler.reconcile()
    assert version(parts) == "v2"
    assert parts.reconciler.problems() == {}


async def test_what_never_can_be_served_is_tried_once_until_somebody_asks_for_more(parts: Any) -> None:
    parts.loader.broken["v2"] = UnservableVersion("a model of an odd type")
    await parts.reconciler.reconcile()
    parts.registry.point("v2")
    for second in range(0, 1000, 10):
        parts.clock.now = 1000.0 + second
        await parts.reconciler.reconcile()
    assert (parts.loader.tries, version(parts)) == (["v1", "v2"], "v1")
    assert parts.reconciler.problems() == {"intent": "v2: a model of an odd type"}
    parts.reconciler.retry_now()
    await parts.reconciler.reconcile()
    assert parts.loader.tries == ["v1", "v2", "v2"]


async def test_who_asks_a_policy_without_a_usable_version_learns_why(parts: Any) -> None:
    with pytest.raises(Unavailable, match="known but not loaded yet: try again"):
        parts.policies.choose("intent", "")
    altered = DamagedArtifact("intent v1: model.safetensors was altered; restore the folder")
    parts.loader.broken = {"v1": altered, "v2": altered, "v3": altered}
    await parts.reconciler.reconcile()
    with pytest.raises(Conflict) as caught:
        parts.policies.choose("intent", "")
    why = "policy 'intent' can't answer until its operator acts: intent v1: model.safetensors was altered"
    assert str(caught.value) == f"{why}; restore the folder"
    assert parts.reconciler.explain("intent").endswith("; restore the folder; nothing is served")
    parts.loader.broken["v1"] = OSError(5, "io", "/home/secret/model")
    parts.reconciler.retry_now()
    await parts.reconciler.reconcile()
    with pytest.raises(Conflict, match="v1 can't be loaded .OSError, see the service's log.; roll back$"):
        parts.policies.choose("intent", "")
    parts.loader.broken["v1"] = Unavailable("the artifact store is away", 5.0)
    parts.reconciler.retry_now()
    await parts.reconciler.reconcile()
    with pytest.raises(Unavailable, match="'intent' can't answer now: the artifact store is away$") as away:
        parts.policies.choose("intent", "")
    assert away.value.retry_after_s == 30.0
    parts.loader.broken = {}
    parts.reconciler.retry_now()
    await parts.reconciler.reconcile()
    assert parts.policies.choose("intent", "").ref.version == "v1"


async def test_moving_on_from_a_broken_version_is_immediate(parts: Any) -> None:
    await parts.reconciler.reconcile()
    parts.loader.broken["v2"] = DamagedArtifact("v2: altered")
    parts.registry.point("v2")
    await parts.reconciler.reconcile()
    assert parts.reconciler.problems() == {"intent": "v2: altered"}
    parts.registry.point("v1")
    await parts.reconciler.reconcile()
    assert parts.reconciler.problems() == {}
    parts.registry.point("v3")
    await parts.reconciler.reconcile()
    assert (version(parts), parts.loader.tries) == ("v3", ["v1", "v2", "v3"])


async def test_a_champion_broken_at_the_start_gives_way_to_an_earlier_version(parts: Any) -> None:
    parts.registry.point("v3")
    for broken in ("v2", "v3"):
        parts.loader.broken[broken] = DamagedArtifact(f"{broken}: altered")
    await parts.reconciler.reconcile()
    assert version(parts) == "v1"
    assert parts.reconciler.problems() == {"intent": "v3: altered"}
    assert parts.reconciler.explain("intent") == "v3: altered; v1 is served instead"
    parts.clock.now += 100
    await parts.reconciler.reconcile()
    assert parts.loader.tries == ["v3", "v2", "v1", "v3"]
    parts.loader.broken.clear()
    parts.clock.now += 100
    await parts.reconciler.reconcile()
    assert version(parts) == "v3"
    assert parts.reconciler.problems() == {}
    assert parts.reconciler.explain("intent") == ""


async def test_a_version_that_was_rolled_back_stands_in_for_none(parts: Any) -> None:
    parts.registry.point("v2")
    parts.registry.point("v1")
    parts.loader.broken["v1"] = DamagedArtifact("v1: altered")
    await parts.reconciler.reconcile()
    assert parts.policies.served("intent") == []
    assert parts.loader.tries == ["v1"]


async def test_who_may_serve_only_what_a_channel_names_falls_back_to_nothing(parts: Any) -> None:
    strict = Reconciler(parts.registry, parts.policies, parts.loader, parts.metrics.version, 1.0, falls_back=False)
    parts.registry.point("v3")
    parts.loader.broken["v3"] = DamagedArtifact("v3: altered")
    await strict.reconcile()
    assert parts.policies.served("intent") == []
    assert parts.loader.tries == ["v3"]
    assert strict.explain("intent") == "v3: altered; nothing is served"


async def test_a_cleared_channel_serves_no_more(parts: Any) -> None:
    await parts.reconciler.reconcile()
    parts.registry.point("")
    await parts.reconciler.reconcile()
    await parts.policies.settled()
    assert parts.policies.served("intent") == []
    labels = {"policy": "intent", "channel": "champion", "policy_version": "v1"}
    assert parts.metrics.registry.get_sample_value("thumbwheel_version_serving", labels) is None


@pytest.mark.parametrize("broken", [("v2",), ("v1", "v2", "v3")])
async def test_a_cleared_channel_has_no_problem(parts: Any, broken: tuple[str, ...]) -> None:
    parts.loader.broken = dict.fromkeys(broken, DamagedArtifact("v2: altered"))
    await parts.reconciler.reconcile()
    parts.registry.point("v2")
    await parts.reconciler.reconcile()
    assert parts.reconciler.problems() == {"intent": "v2: altered"}
    parts.registry.point("")
    await parts.reconciler.reconcile()
    assert parts.reconciler.problems() == {} and parts.reconciler.explain("intent") == ""
    with pytest.raises(Unavailable, match="known but not loaded yet"):
        parts.policies.choose("intent", "")


async def test_a_swap_is_told_and_measured(parts: Any) -> None:
    await parts.reconciler.reconcile()
    parts.registry.point("v2")
    await parts.reconciler.reconcile()
    last = parts.reconciler.last_swap["intent"]
    assert (last.previous, last.version, last.duration_s) == ("v1", "v2", 0.0)
    read = parts.metrics.registry.get_sample_value
    assert read("thumbwheel_swap_duration_seconds_count", {"policy": "intent"}) == 2
    labels = {"policy": "intent", "channel": "champion", "policy_version": "v2"}
    assert read("thumbwheel_version_serving", labels) == 1
