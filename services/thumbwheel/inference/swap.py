"""The served policies, and how one version follows another without a dropped request.

The order of a swap, which is what the promises rest on:

1. The new version is fetched with its digests checked, loaded and warmed, beside the old one, which goes on serving.
2. The pointer of (policy, channel) moves. This is one assignment on the event loop: a request sees the old engine
   or the new one, never something between.
3. Requests that had taken a lease on the old engine finish on it and are stamped with the old version, however long
   they take. New requests can't get one.
4. When the last lease is given back the old engine is closed and its memory freed.

A request takes its lease once and reads version and engine from it, so one response is made by exactly one version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from thumbwheel.errors import Conflict, Unavailable, UnknownPolicy
from thumbwheel.inference.engine import Engine
from thumbwheel.inference.lease import Lease
from thumbwheel.records import Channel, PolicyKind, VersionRef
from thumbwheel.registry.trial import Split

_LOADING_S = 1.0  # until the next try makes sense
_MENDING_S = 30.0


class Served:
    """A version with its engine, kept alive by leases."""

    def __init__(self, ref: VersionRef, channel: Channel, engine: Engine) -> None:
        """Serve `ref` on `channel` with `engine`, which is warm."""
        self.ref = ref
        self.channel = channel
        self.engine = engine
        self.leases = 0
        self._retired = False
        self._idle = asyncio.Event()

    @contextmanager
    def lease(self) -> Iterator[Served]:
        """Keep the engine for the length of a request."""
        self.leases += 1
        try:
            yield self
        finally:
            self.leases -= 1
            self._look_idle()

    async def retire(self) -> None:
        """Wait for the last lease, then close the engine. Nobody may take a lease any more."""
        self._retired = True
        self._look_idle()
        await self._idle.wait()
        await self.engine.close()

    def _look_idle(self) -> None:
        if self._retired and not self.leases:
            self._idle.set()


@dataclass(frozen=True, slots=True)
class PolicyInfo:
    """What is known of a policy, whether or not it can be served just now."""

    policy: str
    kind: PolicyKind


class ServedPolicies:
    """What each policy serves on each channel. Lives on the event loop."""

    def __init__(self, lease: Lease | None = None) -> None:
        """Serve nothing yet; later only while `lease` holds, by default for ever."""
        self._lease = lease or Lease()
        self._known: dict[str, PolicyKind] = {}
        self._has_looked = False
        self._served: dict[tuple[str, Channel], Served] = {}
        self._retiring: dict[asyncio.Task[None], Served] = {}
        self._problems: dict[str, str] = {}
        self._passing: dict[str, str] = {}
        self._splits: Mapping[str, Split] = {}
        self._watchers: list[Callable[[], None]] = []
        self._all_tried = False

    @property
    def ready(self) -> bool:
        """Whether there is a policy and every known one has a champion that serves."""
        return bool(self._known) and all((policy, Channel.CHAMPION) in self._served for policy in self._known)

    @property
    def serving(self) -> bool:
        """Whether requests are worth sending: every policy was tried once, and some have a champion that serves.

        One policy's damaged version keeps nobody from asking the others.
        """
        if self._lease.lapsed:
            return False
        return self._all_tried and any(channel is Channel.CHAMPION for _, channel in self._served)

    @property
    def tried(self) -> bool:
        """Whether loading was tried once for every policy."""
        return self._all_tried

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever what is served changes."""
        self._watchers.append(changed)

    def learn_of(self, policies: Mapping[str, PolicyKind]) -> None:
        """Take note of the policies that exist, so that those not yet loaded are told from unknown ones."""
        self._has_looked = True
        if dict(policies) != self._known:
            self._known = dict(policies)
            self._changed()

    def learn_splits(self, splits: Mapping[str, Split]) -> None:
        """Take note of which users each policy's canary answers; without a note it answers nobody."""
        self._splits = splits

    def split(self, policy: str) -> Split | None:
        """Which users a policy's canary answers; None where none is on trial."""
        return self._splits.get(policy)

    def all_tried(self) -> None:
        """Take note that loading was tried for every policy: what does not serve now has something wrong with it."""
        if not self._all_tried:
            self._all_tried = True
            self._changed()

    def demand_known(self) -> None:
        """Raise Unavailable until it is known what policies there are: till then none is unknown."""
        if not self._has_looked:
            raise Unavailable("the service is starting and does not know its policies yet: try again", _LOADING_S)

    def known(self) -> list[PolicyInfo]:
        """Every policy there is, by name; none before the registry was read."""
        return [PolicyInfo(policy, kind) for policy, kind in sorted(self._known.items())]

    def served(self, policy: str) -> list[Served]:
        """What a policy serves, champion first."""
        return [self._served[policy, channel] for channel in Channel if (policy, channel) in self._served]

    def all_served(self) -> list[Served]:
        """Everything that takes requests now."""
        return list(self._served.values())

    def current(self, policy: str, channel: Channel) -> Served | None:
        """What a channel serves now."""
        return self._served.get((policy, channel))

    def choose(self, policy: str, user_hash: str) -> Served:
        """Choose who answers this user. The one place where traffic is divided between channels.

        A user who is drawn for the canary gets it every time, once it is loaded; everybody else the champion.

        Raises Unavailable while the policy's champion is not loaded or can't be reached, or when the lease on what the
        registry says has lapsed; Conflict, and says why, when it is of no use: to ask again would not help.
        """
        self._lease.demand()
        canary, split = self._served.get((policy, Channel.CANARY)), self._splits.get(policy)
        if canary is not None and split is not None and canary.engine.healthy and split.is_drawn(user_hash):
            return canary
        served = self._served.get((policy, Channel.CHAMPION))
        if served is not None:
            return served
        if problem := self._passing.get(policy):
            raise Unavailable(f"policy {policy!r} can't answer now: {problem}", _MENDING_S)
        if problem := self._problems.get(policy):
            raise Conflict(f"policy {policy!r} can't answer until its operator acts: {problem}")
        raise Unavailable(f"policy {policy!r} is known but not loaded yet: try again", _LOADING_S)

    def blame(self, policy: str, problem: str, passing: bool = False) -> None:
        """Say why a policy's champion can't be served; told to whoever asks a policy that has nothing else.

        `passing`: it may be over without anybody's doing, so asking again makes sense.
        """
        self._excuse(policy)
        (self._passing if passing else self._problems)[policy] = problem

    def resolve(self, policy: str, kind: PolicyKind) -> str:
        """Return the policy's name; an empty one stands for the only policy of its kind.

        Raises UnknownPolicy, which names what exists; Unavailable while that is not known yet.
        """
        self.demand_known()
        names = sorted(name for name, known in self._known.items() if known is kind)
        if policy in names:
            return policy
        if not policy and len(names) == 1:
            return names[0]
        have = ", ".join(names) if names else "none"
        if not policy and names:
            raise UnknownPolicy(f"policy: several of kind {kind} are served, name one of: {have}")
        if (known := self._known.get(policy)) is not None:
            raise UnknownPolicy(f"policy: {policy!r} is of kind {known}: call {known}()")
        named = f"{policy[:64]!r} is not a policy of kind {kind}" if policy else f"no policy of kind {kind} is served"
        raise UnknownPolicy(f"policy: {named}; there is: {have}")

    def install(self, new: Served) -> None:
        """Move the pointer to `new`; what it replaces finishes its requests and is freed."""
        key = (new.ref.policy, new.channel)
        old = self._served.get(key)
        self._served[key] = new
        if new.channel is Channel.CHAMPION:
            self._excuse(new.ref.policy)
        self._changed()
        if old is not None:
            self._retire(old)

    def withdraw(self, policy: str, channel: Channel) -> None:
        """Serve nothing on a channel any more; whatever was wrong with what it pointed at is over."""
        if channel is Channel.CHAMPION:
            self._excuse(policy)
        old = self._served.pop((policy, channel), None)
        if old is not None:
            self._changed()
            self._retire(old)

    def _excuse(self, policy: str) -> None:
        for problems in (self._problems, self._passing):
            problems.pop(policy, None)

    def retiring(self) -> list[Served]:
        """Replaced versions that still finish requests or are being freed."""
        return list(self._retiring.values())

    async def settled(self) -> None:
        """Wait until every replaced version is freed."""
        while self._retiring:
            await asyncio.gather(*self._retiring)

    async def close(self) -> None:
        """Withdraw everything and wait until all of it is freed."""
        for policy, channel in list(self._served):
            self.withdraw(policy, channel)
        await self.settled()

    def _retire(self, old: Served) -> None:
        task = asyncio.create_task(old.retire(), name=f"retire-{old.ref.policy}-{old.ref.version}")
        self._retiring[task] = old
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._retiring[task]

    def _changed(self) -> None:
        for changed in self._watchers:
            changed()
