"""Inference in a process: what is served follows the registry, and health follows what is served."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import closing
from os import getpid
from secrets import token_hex
from socket import gethostname

from thumbwheel.app.doors import INFERENCE_SERVICE
from thumbwheel.config.settings import Settings
from thumbwheel.errors import ThumbwheelError
from thumbwheel.hosts.local import LocalHost
from thumbwheel.inference.beside import Beside
from thumbwheel.inference.lease import Lease
from thumbwheel.inference.loading import EngineLoader
from thumbwheel.inference.reconcile import Loader, Reconciler
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.registry.port import Registry
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import Metrics

_TELL_TRIALS_S = 5.0

logger = get_logger(__name__)


class Inference:
    """Serves what the registry's channels point at, from `follow` to `close`."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        metrics: Metrics,
        loader: Loader | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Make engines with `loader`, or with the real one; serve while `lease` holds, by default for ever.

        Under a lease nothing is served that is not a channel's: no earlier version stands in for a damaged one.
        """
        self.policies = ServedPolicies(lease)
        self.beside = Beside.of(self.policies, settings.canary, metrics.shadow, settings.auth.asks_per_user_per_minute)
        self._registry = registry
        self._loader = loader or EngineLoader(settings, metrics.queue)
        self.reconciler = Reconciler(
            registry,
            self.policies,
            self._loader,
            metrics.version,
            settings.serve.reconcile_s,
            falls_back=lease is None,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self) -> None:
        """Begin to load what the registry says, and go on looking."""
        self._go_on(self.reconciler.run())
        self._go_on(self._tell_trials())

    def tell(self, host: LocalHost) -> None:
        """Let the service's health on `host` be SERVING while any policy is served, once all were tried."""
        changed = self._watched()

        async def telling() -> None:
            while True:
                await host.set_serving(INFERENCE_SERVICE, self.policies.serving)
                await changed.wait()
                changed.clear()

        self._go_on(telling())

    async def ready(self) -> None:
        """Wait until everything that the registry names is served."""
        changed = self._watched()
        while not self.policies.ready:
            await changed.wait()
            changed.clear()

    async def tried(self) -> None:
        """Wait until loading was tried for everything that the registry names."""
        changed = self._watched()
        while not self.policies.tried:
            await changed.wait()
            changed.clear()

    async def close(self) -> None:
        """Stop following; requests in flight finish, and every model is freed."""
        with closing(self._loader):
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.beside.shadows.close()
            # The batching threads outlive an error at start (a port in use) unless they are stopped.
            await self.policies.close()
        for defect in ended:
            if isinstance(defect, Exception):
                raise defect

    async def _tell_trials(self) -> None:
        """Keep, now and then, how requests to versions on trial went here."""
        process = f"{gethostname()} {getpid()} {token_hex(4)}"
        while True:
            await asyncio.sleep(_TELL_TRIALS_S)
            try:
                for (trial, version), counted in self.beside.tally.so_far().items():
                    await asyncio.to_thread(self._registry.trials.tally, trial, version, process, counted)
            except ThumbwheelError as error:
                logger.warning("how a trial goes here could not be kept; it is tried again", problem=str(error))

    def _watched(self) -> asyncio.Event:
        changed = asyncio.Event()
        self.policies.watch(changed.set)
        return changed

    def _go_on(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
