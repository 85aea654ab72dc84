"""Makes what is served follow the registry: looks at it every so often, and at once when nudged.

A version that can't be served never takes the service down: what served before goes on serving (after a start, the
latest earlier version that can be loaded), the failure is logged and counted, and the version is tried again, less and
less often, in case its files are restored or their store is back. One that this service can never serve is not tried
again, since each try costs those who are answered meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic
from typing import Protocol

from thumbwheel.errors import DamagedArtifact, Unavailable, UnservableVersion
from thumbwheel.inference.engine import Engine
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.records import Channel, PolicyKind, VersionRef
from thumbwheel.registry.port import Registry
from thumbwheel.registry.trial import Split
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import VersionMetrics

# Channels whose versions are loaded, in this order: who is served by everybody comes first.
_LOADED = (Channel.CHAMPION, Channel.CANARY, Channel.SHADOW)
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0

logger = get_logger(__name__)


class Loader(Protocol):
    """Makes engines from folders."""

    async def load(self, kind: PolicyKind, folder: Path) -> Engine:
        """Return a warm engine. Raises DamagedArtifact."""

    def close(self) -> None:
        """Let go of what engines share, after the last engine was closed."""


@dataclass(frozen=True, slots=True)
class SwapInfo:
    """The last change of what a policy serves: `duration_s` from noticing it to the new version's first answer."""

    policy: str
    channel: Channel
    previous: str
    version: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a version can't be served: `final` when this service never will, `passing` if it may be over by itself."""

    text: str
    final: bool = False
    passing: bool = False


@dataclass(slots=True)
class _Failure:
    """A version that could not be served, and when it is tried again."""

    version: str
    delay_s: float
    due: float
    problem: str


@dataclass(slots=True)
class _Look:
    """What the registry said at one look."""

    generation: int
    policies: dict[str, PolicyKind] = field(default_factory=dict)
    wanted: dict[tuple[str, Channel], str] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)


class Reconciler:
    """Follows the registry until it is stopped."""

    def __init__(
        self,
        registry: Registry,
        policies: ServedPolicies,
        loader: Loader,
        metrics: VersionMetrics,
        interval_s: float,
        falls_back: bool = True,
    ) -> None:
        """Look at `registry` every `interval_s` seconds and make `policies` serve what it says.

        With `falls_back` an earlier champion stands in for one that can't be loaded when nothing was served before.
        """
        self._registry = registry
        self._policies = policies
        self._loader = loader
        self._metrics = metrics
        self._interval_s = interval_s
        self._falls_back = falls_back
        self._nudged = asyncio.Event()
        self._looking = asyncio.Lock()
        self._seen: _Look | None = None
        self._failures: dict[tuple[str, Channel], _Failure] = {}
        self.last_swap: dict[str, SwapInfo] = {}

    def nudge(self) -> None:
        """Look at the registry now."""
        self._nudged.set()

    @property
    def generation(self) -> int | None:
        """Where the registry stood at the last look; None before the first."""
        return self._seen.generation if self._seen is not None else None

    def retry_now(self) -> None:
        """Try versions that could not be served again at the next look, without waiting for their turn."""
        for failure in self._failures.values():
            failure.due = 0.0
        self.nudge()

    def problems(self) -> dict[str, str]:
        """Policies whose champion can't be served, and why. Safe from any thread."""
        failures = list(self._failures.items())
        return {policy: failure.problem for (policy, channel), failure in failures if channel is Channel.CHAMPION}

    def explain(self, policy: str) -> str:
        """Return why a policy's champion can't be served, and what is instead; empty when it can."""
        problem = self.problems().get(policy, "")
        instead = ", ".join(served.ref.version for served in self._policies.served(policy))
        return problem and f"{problem}; {f'{instead} is served instead' if instead else 'nothing is served'}"

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        while True:
            try:
                await self.reconcile()
            except Exception:
                # Whatever ails the registry, the versions that are loaded go on serving; the next look may succeed.
                logger.exception("could not look at the registry")
            await self._pause()

    async def reconcile(self) -> None:
        """Look once, and bring what is served in line.

        One look at a time: nothing is loaded twice, and the libraries that load models don't bear two loads at once.
        """
        async with self._looking:
            look = await asyncio.to_thread(self._look)
            self._seen = look
            self._policies.learn_of(look.policies)
            self._policies.learn_splits(look.splits)
            for (policy, channel), version in look.wanted.items():
                if self._must_load(policy, channel, version):
                    await self._follow(policy, channel, version, look.policies[policy])
            self._withdraw_unwanted(look)
            self._policies.all_tried()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._nudged.wait()
        except TimeoutError:
            pass
        self._nudged.clear()

    def _look(self) -> _Look:
        """Read the registry; when nothing moved since, what was read before. Runs in a thread."""
        generation = self._registry.generation()
        if self._seen is not None and self._seen.generation == generation:
            return self._seen
        look = _Look(generation)
        for policy, kind in self._registry.policies():
            channels = self._registry.channels(policy)
            look.policies[policy] = kind
            look.wanted.update({(policy, channel): channels[channel] for channel in _LOADED if channels.get(channel)})
        if any(channel is Channel.CANARY for _, channel in look.wanted):
            look.splits = self._registry.splits()
        return look

    def _must_load(self, policy: str, channel: Channel, version: str) -> bool:
        current = self._policies.current(policy, channel)
        if current is not None and current.ref.version == version and current.engine.healthy:
            self._failures.pop((policy, channel), None)
            return False
        failure = self._failures.get((policy, channel))
        return failure is None or failure.version != version or monotonic() >= failure.due

    async def _follow(self, policy: str, channel: Channel, version: str, kind: PolicyKind) -> None:
        """Load a version and move the pointer to it, or go on as before; with nothing before, with an earlier one."""
        problem = await self._serve(policy, channel, version, kind)
        if problem is None:
            self._failures.pop((policy, channel), None)
            return
        self._failed(policy, channel, version, problem)
        if self._falls_back and channel is Channel.CHAMPION and self._policies.current(policy, channel) is None:
            await self._fall_back(policy, version, kind)

    async def _fall_back(self, policy: str, broken: str, kind: PolicyKind) -> None:
        """Serve the latest earlier champion that can be loaded: an older answer is better than none.

        One that was rolled back is worse than none.
        """
        for version in await asyncio.to_thread(self._registry.earlier_champions, policy):
            if await self._serve(policy, Channel.CHAMPION, version, kind) is None:
                logger.warning("serving an earlier version", policy=policy, policy_version=version, instead_of=broken)
                return

    async def _serve(self, policy: str, channel: Channel, version: str, kind: PolicyKind) -> _Problem | None:
        """Load a version and move the pointer to it; return what is wrong with it, or nothing."""
        started = monotonic()
        try:
            served = await self._load(policy, channel, version, kind)
        except UnservableVersion as error:
            return _Problem(f"{version}: {error}", final=True)
        except DamagedArtifact as error:
            self._metrics.damaged.inc(policy=policy)
            return _Problem(str(error))
        except Unavailable as error:
            return _Problem(str(error), passing=True)
        except Exception as error:
            # A version is data from outside: whatever it breaks while loading must not take the service down.
            logger.exception("loading a version failed", policy=policy, policy_version=version)
            return _Problem(f"{version} can't be loaded ({type(error).__name__}, see the service's log); roll back")
        previous = self._policies.current(policy, channel)
        self._policies.install(served)
        self._swapped(
            SwapInfo(policy, channel, previous.ref.version if previous else "", version, monotonic() - started)
        )
        return None

    async def _load(self, policy: str, channel: Channel, version: str, kind: PolicyKind) -> Served:
        logger.info("loading a version", policy=policy, channel=channel.value, policy_version=version)
        manifest = await asyncio.to_thread(self._registry.manifest, policy, version)
        folder = await asyncio.to_thread(self._registry.fetch, policy, version)
        engine = await self._loader.load(kind, folder)
        return Served(VersionRef(policy, version, manifest.digest), channel, engine)

    def _swapped(self, swap: SwapInfo) -> None:
        if swap.channel is Channel.CHAMPION:
            self.last_swap[swap.policy] = swap
        self._metrics.swaps.inc(policy=swap.policy, outcome="swapped")
        self._metrics.swap_duration.observe(swap.duration_s, policy=swap.policy)
        self._show_serving()
        logger.info(
            "serving a version",
            policy=swap.policy,
            channel=swap.channel.value,
            previous=swap.previous,
            policy_version=swap.version,
            duration_s=round(swap.duration_s, 3),
        )

    def _failed(self, policy: str, channel: Channel, version: str, problem: _Problem) -> None:
        before = self._failures.get((policy, channel))
        again = before is not None and before.version == version
        delay_s = min(_LAST_RETRY_S, before.delay_s * 2) if before is not None and again else _FIRST_RETRY_S
        if problem.final:
            delay_s = inf
        self._failures[policy, channel] = _Failure(version, delay_s, monotonic() + delay_s, problem.text)
        if channel is Channel.CHAMPION:
            self._policies.blame(policy, problem.text, problem.passing)
        self._metrics.swaps.inc(policy=policy, outcome="failed")
        current = self._policies.current(policy, channel)
        logger.error(
            "a version can't be served",
            policy=policy,
            channel=channel.value,
            policy_version=version,
            still_serving=current.ref.version if current else "",
            retry_in_s=None if problem.final else delay_s,
            problem=problem.text,
        )

    def _withdraw_unwanted(self, look: _Look) -> None:
        """Free what no channel points at any more, and forget what was wrong with it."""
        for policy, channel in self._failures.keys() - look.wanted.keys():
            del self._failures[policy, channel]
            self._policies.withdraw(policy, channel)
        for served in self._policies.all_served():
            if (served.ref.policy, served.channel) not in look.wanted:
                self._policies.withdraw(served.ref.policy, served.channel)
                self._show_serving()

    def _show_serving(self) -> None:
        self._metrics.serving.clear()
        for served in self._policies.all_served():
            self._metrics.serving.set(
                1, policy=served.ref.policy, channel=served.channel.value, policy_version=served.ref.version
            )
