"""Serving in a process: policies that follow the registry, and the gRPC doors before them, on this process's own ports.

`up` and `serve` are made of it. Another host takes the same doors from `doors.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from thumbwheel.admin.ports import Loop
from thumbwheel.app.doors import ADMIN_SERVICE, FEEDBACK_SERVICE, admin_door, feedback_door, inference_door
from thumbwheel.app.facts import service_facts
from thumbwheel.app.health import health
from thumbwheel.app.identity import Identity
from thumbwheel.app.inference import Inference
from thumbwheel.app.storage import Storage
from thumbwheel.config.settings import Settings
from thumbwheel.hosts.local import ADMIN, PUBLIC, LocalHost
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers gRPC in this process."""

    inference: Inference
    host: LocalHost
    address: str
    admin_address: str

    def health(self) -> Health:
        """What `/healthz` says of it."""
        return health(self.inference.policies, self.inference.reconciler.problems(), self.host.draining)


@asynccontextmanager
async def serving(
    settings: Settings, storage: Storage, identity: Identity, metrics: Metrics, loop: Loop, started_us: int
) -> AsyncIterator[Serving]:
    """Serve while the block runs; then requests in flight finish, and the models are freed.

    The doors are open, saying NOT_SERVING, while the policies load. Raises InvalidConfig when a port can not be had.
    """
    prepare_torch(settings.serve.torch_threads)
    async with AsyncExitStack() as stack:
        inference = Inference(settings, storage.registry, metrics)
        stack.push_async_callback(inference.close)
        inference.follow()
        policies, reconciler = inference.policies, inference.reconciler
        facts = service_facts(settings, storage, reconciler, started_us)
        registrations = [
            inference_door(settings, storage.requests, identity, policies, metrics),
            feedback_door(settings, storage, identity, policies, metrics),
            admin_door(settings, storage, identity, loop, facts, reconciler.nudge),
        ]
        host = LocalHost(settings.serve, registrations, metrics.rpc)
        await host.start()
        stack.push_async_callback(host.drain)
        for always_serving in (FEEDBACK_SERVICE, ADMIN_SERVICE):
            await host.set_serving(always_serving, True)
        inference.tell(host)
        yield Serving(inference, host, host.addresses[PUBLIC], host.addresses[ADMIN])
