"""A whole serving process for benchmarks: registry, durable log, tokens, inference and host, in a scratch folder."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from thumbwheel.app.admission import admitting
from thumbwheel.app.doors import inference_door, request_log_of
from thumbwheel.app.identity import Identity
from thumbwheel.app.inference import Inference
from thumbwheel.app.observing import write_observer
from thumbwheel.app.storage import open_storage
from thumbwheel.app.trust import grpc_tls
from thumbwheel.bus.codec import from_log
from thumbwheel.bus.port import REQUESTS, EventLog
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.hosts.local import LocalHost
from thumbwheel.inference.reconcile import Loader
from thumbwheel.records import Channel, LoggedResponse, PolicyKind
from thumbwheel.registry.port import NewVersion, Registry
from thumbwheel.telemetry.logging import configure_logging
from thumbwheel.telemetry.metrics import Metrics


@dataclass
class EmbeddedService:
    """What a benchmark needs to get at."""

    registry: Registry
    inference: Inference
    log: EventLog
    address: str

    def logged(self) -> list[LoggedResponse]:
        """Every answer in the request log."""
        stored = [one for part in self.log.partitions(REQUESTS) for one in self.log.read(REQUESTS, part, 0, 10_000_000)]
        return [record for one in stored if isinstance(record := from_log(one), LoggedResponse)]

    async def promote(self, policy: str, version: str) -> None:
        """Point the champion at a version and have the service look, as the admin door does."""
        await asyncio.to_thread(
            lambda: self.registry.move(policy, Channel.CHAMPION, version, actor="benchmark", reason="benchmark")
        )
        self.inference.reconciler.nudge()


@asynccontextmanager
async def embedded_service(
    home: Path, policy: str, kind: PolicyKind, folders: list[Path], loader: Loader | None = None, **sections: Any
) -> AsyncIterator[EmbeddedService]:
    """Publish `folders` as v1, v2, ... of a policy and serve v1 on a free port."""
    settings = Settings.model_validate({"home": home, "serve": {"port": 0}, **sections})
    # Every call is logged, as it is in earnest; the lines themselves are not wanted on the terminal.
    with (home / "process.log").open("w") as lines:
        configure_logging(settings.telemetry, lines)
        async with _parts(settings, policy, kind, folders, loader) as service:
            yield service
        configure_logging(settings.telemetry, sys.stderr)


@asynccontextmanager
async def _parts(
    settings: Settings, policy: str, kind: PolicyKind, folders: list[Path], loader: Loader | None
) -> AsyncIterator[EmbeddedService]:
    metrics = Metrics()
    with open_storage(settings, write_observer(metrics.log)) as storage, ExitStack() as guards:
        for folder in folders:
            storage.registry.publish(NewVersion(policy, kind), folder)
        storage.registry.move(policy, Channel.CHAMPION, "v1", actor="benchmark", reason="benchmark")
        identity = Identity.of(load_or_make_keys(settings.keys_path, 1), settings)
        inference = Inference(settings, storage.registry, metrics, loader)
        request_log = request_log_of(storage.requests, identity, metrics)
        door = inference_door(settings, request_log, inference.policies, metrics, inference.beside)
        guard = guards.enter_context(admitting(settings))
        host = LocalHost(settings.serve, [door], metrics.rpc, grpc_tls(settings), guard)
        await host.start()
        try:
            inference.follow()
            inference.tell(host)
            await inference.ready()
            yield EmbeddedService(storage.registry, inference, storage.source.log, f"127.0.0.1:{host.ports['public']}")
        finally:
            await host.drain()
            await inference.close()


async def closed_loop(calls: int, clients: int, call: Any) -> list[float]:
    """Have `clients` call one after the other until `calls` are done; seconds of each call."""
    from time import perf_counter

    left = iter(range(calls))
    seconds: list[float] = []

    async def client() -> None:
        for _ in left:
            started = perf_counter()
            await call()
            seconds.append(perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(clients)))
    return seconds


def open_channel(address: str) -> grpc.aio.Channel:
    """A connection of its own, as another process would have it."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
