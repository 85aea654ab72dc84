"""A whole serving process for benchmarks: registry, durable log, tokens, inference and host, in a scratch folder."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from thumbwheel.bus.codec import from_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import REQUESTS, EventLog
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.hosts.local import LocalHost, Registration
from thumbwheel.inference.loading import EngineLoader
from thumbwheel.inference.reconcile import Loader, Reconciler
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.servicer import SERVICE, InferenceServicer
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.v1.inference_pb2_grpc import add_InferenceServiceServicer_to_server
from thumbwheel.records import Channel, LoggedResponse, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.telemetry.logging import configure_logging
from thumbwheel.telemetry.metrics import Metrics


class Inference:
    """What follows the registry, and the servicer before it."""

    def __init__(
        self,
        settings: Settings,
        registry: SqlRegistry,
        request_log: RequestLog,
        metrics: Metrics,
        loader: Loader | None = None,
    ) -> None:
        self.policies = ServedPolicies()
        self._loader = loader or EngineLoader(settings, metrics.queue)
        self.reconciler = Reconciler(registry, self.policies, self._loader, metrics.version, settings.serve.reconcile_s)
        self.servicer = InferenceServicer(
            self.policies, request_log, settings.generate, settings.classify, metrics.queue
        )
        self._changed = asyncio.Event()
        self.policies.watch(self._changed.set)
        self._tasks: list[asyncio.Task[None]] = []

    def add_to(self, server: grpc.aio.Server) -> None:
        add_InferenceServiceServicer_to_server(self.servicer, server)

    def start(self, host: LocalHost) -> None:
        self._tasks = [asyncio.create_task(self.reconciler.run()), asyncio.create_task(self._tell(host))]

    async def ready(self) -> None:
        moved = asyncio.Event()
        self.policies.watch(moved.set)
        while not self.policies.ready:
            await moved.wait()
            moved.clear()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.policies.close()
        self._loader.close()

    async def _tell(self, host: LocalHost) -> None:
        while True:
            await host.set_serving(SERVICE, self.policies.ready)
            await self._changed.wait()
            self._changed.clear()


@dataclass
class EmbeddedService:
    """What a benchmark needs to get at."""

    registry: SqlRegistry
    inference: Inference
    log: EventLog
    address: str

    def logged(self) -> list[LoggedResponse]:
        """Every answer in the request log."""
        stored = [one for part in self.log.partitions(REQUESTS) for one in self.log.read(REQUESTS, part, 0, 10_000_000)]
        return [record for one in stored if isinstance(record := from_log(one), LoggedResponse)]

    def promote(self, policy: str, version: str) -> None:
        """Point the champion at a version and have the service look."""
        self.registry.move(policy, Channel.CHAMPION, version, actor="benchmark", reason="benchmark")
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
    database = connect(settings.database_url)
    migrate(database)
    registry = SqlRegistry(database, settings.versions_dir)
    for folder in folders:
        registry.publish(NewVersion(policy, kind), folder)
    registry.move(policy, Channel.CHAMPION, "v1", actor="benchmark", reason="benchmark")
    keys = load_or_make_keys(settings.keys_path, 1)
    log = open_log(settings.log_path)
    committer = GroupCommitter(log, settings.log.max_batch)
    metrics = Metrics()
    request_log = RequestLog(
        committer, TokenSigner(keys, settings.feedback.token_ttl_s), Raters(keys.user_key), metrics.log
    )
    inference = Inference(settings, registry, request_log, metrics, loader)
    host = LocalHost(settings.serve, [Registration(SERVICE, inference.add_to)], metrics.rpc)
    await host.start()
    try:
        inference.start(host)
        await inference.ready()
        yield EmbeddedService(registry, inference, log, f"127.0.0.1:{host.ports['public']}")
    finally:
        await host.drain()
        await inference.close()
        committer.close()
        log.close()
        database.dispose()


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
