"""A replica as Ray opens it: where `replica.py` meets `hosts/ray`. Read by Ray's workers too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from thumbwheel.app.replica import Replica, replica
from thumbwheel.app.replicas import Standing
from thumbwheel.config.settings import Settings
from thumbwheel.hosts.ray.ingress import ReplicaParts
from thumbwheel.hosts.ray.keeper import KeeperLine
from thumbwheel.hosts.ray.metrics import RayInstruments
from thumbwheel.telemetry.logging import configure_logging
from thumbwheel.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class OpenRayReplica:
    """Opens a replica in a process of Ray. Travels there; with it all settings but the keys, which lie on each node."""

    settings: Settings
    keys_known: tuple[str, ...]

    def __call__(self, name: str) -> AbstractAsyncContextManager[ReplicaParts]:
        """Open the replica `name`."""
        return self._open(name)

    @asynccontextmanager
    async def _open(self, name: str) -> AsyncIterator[ReplicaParts]:
        configure_logging(self.settings.telemetry)
        line: KeeperLine[Standing] = KeeperLine(name)
        metrics = Metrics(RayInstruments(name))

        def told(opened: Replica) -> None:
            line.tell(_standing(opened))

        async with replica(self.settings, metrics, line, self.keys_known, told) as opened:
            yield ReplicaParts(opened.registrations, opened.health, metrics.rpc, lambda: not opened.lease.lapsed)


def _standing(opened: Replica) -> Standing:
    policies, reconciler = opened.inference.policies, opened.inference.reconciler
    swaps = reconciler.last_swap.items()
    return Standing(
        policies.serving,
        {one.ref.policy: one.ref.version for one in policies.all_served()},
        {policy: reconciler.explain(policy) for policy in reconciler.problems()},
        {policy: (swap.version, swap.duration_s) for policy, swap in swaps if swap.previous},
        opened.request_log.refused,
    )
