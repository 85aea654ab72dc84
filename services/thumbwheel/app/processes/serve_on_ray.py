"""Serving on Ray: what `thumbwheel serve --on ray` runs. Replicas answer, this process keeps them.

1. the home is locked; what an earlier `serve` left in its outbox is shipped from here;
2. Ray is begun on loopback, or a cluster joined, and the keeper started;
3. the replicas come up, and with them the public door, which is Ray's;
4. the operators' door, /healthz and /metrics are opened here: Ray's door asks nobody who he is.

What the replicas told is forgotten after a few seconds, so that /healthz says NOT_SERVING where nobody knows of them.
Where Ray's node dies this process ends, with an error: whoever supervises it starts both again.

On SIGTERM or SIGINT the replicas leave the door, finish their requests and end, then Ray does. What is left in their
outboxes is shipped by the next replicas on the same machine, or by a `serve` or `up` on the same home.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from thumbwheel.admin.ports import ServiceFacts
from thumbwheel.app.awaiting import database_there
from thumbwheel.app.doors import ADMIN_SERVICE, admin_door
from thumbwheel.app.home import Addresses, Home
from thumbwheel.app.identity import Identity
from thumbwheel.app.lifetime import on_signals
from thumbwheel.app.observing import Observer, at_log, observing, write_observer
from thumbwheel.app.outboxes import replicas_dir, unshipped
from thumbwheel.app.probing import probing
from thumbwheel.app.queueing import QueuedRuns
from thumbwheel.app.relaying import relaying
from thumbwheel.app.replicas import Replicas
from thumbwheel.app.shared_log import demand_shared_log
from thumbwheel.app.storage import Storage, open_storage
from thumbwheel.app.trust import demand_guarded, probes_host
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig, Unavailable
from thumbwheel.feedback.keys import Keys, load_keys
from thumbwheel.hosts.local import ADMIN, LocalHost
from thumbwheel.hosts.ray.cluster import Cluster, cluster, demand_closed, deploy
from thumbwheel.ingest.backlog import backlog
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from thumbwheel.app.keeping import Keeping

_LOOK_S = 1.0
_PORTS_EVERY = 30  # looks
_T = TypeVar("_T")

logger = get_logger(__name__)


async def run(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the addresses once the replicas answer.

    Raises:
        HomeInUse: another process runs on the home.
        InvalidConfig: what `serve` refuses; or the door, or Ray, would be open to others.
        SchemaMismatch: a newer release wrote the database.
        Unavailable: the home can't be written, the replicas don't come up, or Ray ended.
    """
    demand_shared_log(settings, "serve --on ray")
    demand_closed(settings)
    _demand_guarded(settings)
    demand_broker(settings)
    os.umask(0o077)  # users' texts are in the outbox
    stopped, started_us, metrics = on_signals(), time.time_ns() // 1000, Metrics()
    async with AsyncExitStack() as stack:
        home = stack.enter_context(Home(settings.home))
        keys = load_keys(settings.keys_path)
        if not await database_there(settings, settings.probes.serve_port, "probes.serve_port", metrics, stopped):
            return
        storage = _storage(stack, settings, metrics)
        ray = await stack.enter_async_context(_on_ray(settings, keys))
        stack.push_async_callback(_ended, asyncio.create_task(ray.follow(), name="replicas"))
        facts = _facts(settings, storage, ray.replicas, started_us)
        addresses = await _doors(stack, settings, storage, keys, facts, ray, metrics)
        home.announce(addresses)
        ready(addresses)
        await ray.watch(stopped)


def _demand_guarded(settings: Settings) -> None:
    """Refuse the doors of this process that would be open, unless the network before Ray is closed anyway."""
    if not settings.ray.trusted_network:
        demand_guarded(settings, {"serve.admin_host": settings.serve.admin_host, **probes_host(settings)})


def demand_broker(settings: Settings) -> None:
    """Refuse votes that are durable on a node's disk only, where nodes come and go. Raises InvalidConfig.

    `auto` is refused, too: what it comes to on this machine's disk says nothing of another's.
    """
    if settings.ray.address and settings.log.feedback_durability != "broker":
        raise InvalidConfig(
            "log.feedback_durability",
            "on a Ray cluster a node goes with its disk, and votes in an outbox there with it: set it to broker",
        )


class _OnRay:
    """Ray, as this process has it: all calls to it on one thread, on which its processes' lives hang."""

    def __init__(self, settings: Settings, thread: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._thread = thread
        self.replicas = Replicas()
        self.own_ports: set[int] = set()  # of this process's own doors
        self.cluster: Cluster
        self.keeping: Keeping

    async def call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def follow(self) -> None:
        """Learn every second how the replicas are."""
        while True:
            with suppress(Unavailable):
                self.replicas.learn(await self.call(self.keeping.standings))
            await asyncio.sleep(_LOOK_S)

    async def watch(self, stopped: asyncio.Event) -> None:
        """Return when it is to stop.

        Raises:
            InvalidConfig: a port is open that should not be.
            Unavailable: Ray's node is dead, and all replicas with it.
        """
        for look in itertools.count():
            if stopped.is_set():
                return
            self._demand_node()
            if look % _PORTS_EVERY == 0:
                await self.demand_closed_ports()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stopped.wait()

    def _demand_node(self) -> None:
        if dead := self.cluster.node.dead():
            said = f"Ray ended ({', '.join(dead)} is dead) and the replicas with it; start the service again"
            raise Unavailable(said, 5.0)

    async def demand_closed_ports(self) -> None:
        found = await asyncio.to_thread(self.cluster.exposed, self._settings, frozenset(self.own_ports))
        if found:
            raise InvalidConfig(
                "serve.host",
                f"Ray opened ports beyond loopback ({', '.join(found)}), which have no TLS and ask for no key; nothing "
                "is served like that: use the release of Ray that this one was made with",
            )


@asynccontextmanager
async def _on_ray(settings: Settings, keys: Keys) -> AsyncIterator[_OnRay]:
    with ThreadPoolExecutor(1, thread_name_prefix="ray") as thread:
        ray = _OnRay(settings, thread)
        async with _entered(ray, cluster(settings)) as ray.cluster:
            logger.info("the replicas come up", logs=ray.cluster.logs, metrics=ray.cluster.metrics)
            ray.keeping = await ray.call(partial(_deployed, settings, ray.cluster.door, keys))
            await ray.demand_closed_ports()
            yield ray


@asynccontextmanager
async def _entered(ray: _OnRay, block: AbstractContextManager[_T]) -> AsyncIterator[_T]:
    entered = await ray.call(block.__enter__)
    try:
        yield entered
    finally:
        await ray.call(partial(block.__exit__, None, None, None))


def _deployed(settings: Settings, door: str, keys: Keys) -> Keeping:
    # Imported here: Ray reads its environment when it is imported, and it is set by now.
    from thumbwheel.app.keeping import Keeping
    from thumbwheel.app.ray_replica import OpenRayReplica
    from thumbwheel.hosts.ray.ingress import Ingress

    keeping = Keeping(settings)
    deploy(settings, door, Ingress, OpenRayReplica(settings, tuple(key.key_id for key in keys.token_keys)))
    return keeping


def _storage(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> Storage:
    storage = stack.enter_context(open_storage(settings, write_observer(metrics.log)))
    source = storage.source
    assert source.outbox is not None  # Kafka is demanded
    stack.enter_context(relaying(source.outbox, source.log, metrics.outbox))
    stack.enter_context(observing(metrics, Observer(at_log(source, settings.log_path))))
    return storage


async def _doors(
    stack: AsyncExitStack,
    settings: Settings,
    storage: Storage,
    keys: Keys,
    facts: ServiceFacts,
    ray: _OnRay,
    metrics: Metrics,
) -> Addresses:
    """Open the operators' door and the probes."""
    loop = QueuedRuns(storage.store, storage.registry, settings)
    door = admin_door(settings, storage, Identity.of(keys, settings), loop, facts, lambda: None)
    host = LocalHost(settings.serve, [door], metrics.rpc)
    await host.start()
    stack.push_async_callback(host.drain)
    await host.set_serving(ADMIN_SERVICE, True)
    port = settings.probes.serve_port
    url = await stack.enter_async_context(probing(settings, port, "probes.serve_port", ray.replicas.health, metrics))
    ray.own_ports.update((host.ports[ADMIN], int(url.rpartition(":")[2])))
    return Addresses(os.getpid(), ray.cluster.door, host.addresses[ADMIN], "", url)


def _facts(settings: Settings, storage: Storage, replicas: Replicas, started_us: int) -> ServiceFacts:
    """What operators are told: outboxes of replicas on other machines are not counted."""
    folder, reports = replicas_dir(settings), open_reports(settings)
    return ServiceFacts(
        version("thumbwheel"),
        started_us,
        settings.home,
        lambda: backlog(storage.source, storage.store) + unshipped(folder),
        lambda: storage.source.unshipped() + unshipped(folder),
        replicas.last_swap,
        replicas.problem,
        reports.place if reports else None,
        settings.canary.share,
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
