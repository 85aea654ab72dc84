"""Inference put together: one object for a process to start, offer and close."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc.aio

from thumbwheel.config.settings import Settings
from thumbwheel.inference.loading import EngineLoader
from thumbwheel.inference.reconcile import Loader, Reconciler
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.servicer import InferenceServicer
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.v1 import inference_pb2_grpc
from thumbwheel.registry.port import Registry
from thumbwheel.telemetry.metrics import Metrics


class Inference:
    """Served policies that follow a registry, and the servicer before them. Lives on one event loop."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        request_log: RequestLog,
        metrics: Metrics,
        loader: Loader | None = None,
    ) -> None:
        """Put the parts together; nothing is loaded before `start`. `loader` replaces the one that reads folders."""
        self.policies = ServedPolicies()
        self._loader = loader or EngineLoader(settings, metrics.queue)
        self.reconciler = Reconciler(registry, self.policies, self._loader, metrics.version, settings.serve.reconcile_s)
        self.servicer = InferenceServicer(
            self.policies, request_log, settings.generate, settings.classify, metrics.queue
        )
        self._changed = asyncio.Event()
        self._is_ready = asyncio.Event()
        self.policies.watch(self._note_change)
        self._tasks: list[asyncio.Task[None]] = []

    def add_to(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self.servicer, server)

    def start(self, tell_ready: Callable[[bool], Awaitable[None]]) -> None:
        """Begin to follow the registry; `tell_ready` hears whether every policy serves, now and at each change."""
        self._tasks = [
            asyncio.create_task(self.reconciler.run(), name="reconciler"),
            asyncio.create_task(self._tell(tell_ready), name="readiness"),
        ]

    async def ready(self) -> None:
        """Wait until every policy serves."""
        await self._is_ready.wait()

    async def close(self) -> None:
        """Stop following, and free every engine. Drain the doors before."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.policies.close()
        self._loader.close()

    def _note_change(self) -> None:
        self._changed.set()
        if self.policies.ready:
            self._is_ready.set()
        else:
            self._is_ready.clear()

    async def _tell(self, tell_ready: Callable[[bool], Awaitable[None]]) -> None:
        while True:
            self._changed.clear()
            await tell_ready(self.policies.ready)
            await self._changed.wait()
