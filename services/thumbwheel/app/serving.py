"""Serving in a process: policies that follow the registry, and the gRPC doors before them, on this process's own ports.

`up` and `serve` are made of it. Another host takes the same doors from `doors.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from thumbwheel.access.guard import Guard
from thumbwheel.admin.ports import Loop
from thumbwheel.app.doors import (
    ADMIN_SERVICE,
    FEEDBACK_SERVICE,
    admin_door,
    feedback_door,
    inference_door,
    request_log_of,
)
from thumbwheel.app.facts import service_facts
from thumbwheel.app.health import health
from thumbwheel.app.identity import Identity
from thumbwheel.app.inference import Inference
from thumbwheel.app.storage import Storage
from thumbwheel.app.trust import grpc_tls
from thumbwheel.config.settings import Settings
from thumbwheel.hosts.local import ADMIN, PUBLIC, LocalHost
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers gRPC in this process."""

    inference: Inference
    request_log: RequestLog
    host: LocalHost
    address: str
    admin_address: str

    def health(self) -> Health:
        """What `/healthz` says of it."""
        troubled = self.inference.reconciler.problems()
        return health(self.inference.policies, troubled, self.host.draining, self.request_log.refused)


@asynccontextmanager
async def serving(
    settings: Settings,
    storage: Storage,
    identity: Identity,
    metrics: Metrics,
    loop: Loop,
    started_us: int,
    guard: Guard | None = None,
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
        request_log = request_log_of(storage.requests, identity, metrics)
        registrations = [
            inference_door(settings, request_log, policies, metrics, inference.beside),
            feedback_door(settings, storage, identity, policies, metrics),
            admin_door(settings, storage, identity, loop, facts, reconciler.nudge),
        ]
        host = LocalHost(settings.serve, registrations, metrics.rpc, grpc_tls(settings), guard)
        await host.start()
        stack.push_async_callback(host.drain)
        for always_serving in (FEEDBACK_SERVICE, ADMIN_SERVICE):
            await host.set_serving(always_serving, True)
        inference.tell(host)
        yield Serving(inference, request_log, host, host.addresses[PUBLIC], host.addresses[ADMIN])
