"""Serving alone: what `thumbwheel serve` runs on this machine. Several of them make one service.

It takes requests, votes and operators' orders at its gRPC doors, and ships what it took to Kafka. It does not read
Kafka, train, or show pages: `ingest`, `retrain --watch` and `web` do. Nothing that others need is only here but what
its outbox holds for a moment, or, with `log.feedback_durability=broker`, nothing that was acknowledged.

1. the home is locked, for the outbox in it has one owner; the storage opened, the relay started; what replicas on Ray
   left, when they served on this home, is shipped, too;
2. the doors are opened, saying NOT_SERVING, while the reconciler loads what the registry's channels point at;
3. /healthz and /metrics are opened, the addresses announced in the home.

On SIGTERM or SIGINT the doors say NOT_SERVING and requests in flight finish; what waits in the outbox is shipped, if
that takes no longer than a few seconds; then the models are freed. What is left then waits for the next process on this
home.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from thumbwheel.app.admission import admitting
from thumbwheel.app.awaiting import database_there
from thumbwheel.app.home import Addresses, Home
from thumbwheel.app.identity import Identity
from thumbwheel.app.lifetime import on_signals
from thumbwheel.app.observing import Observer, at_log, observing, write_observer
from thumbwheel.app.outboxes import adopting, replicas_dir
from thumbwheel.app.probing import probing
from thumbwheel.app.queueing import QueuedRuns
from thumbwheel.app.relaying import relaying, ship_the_rest
from thumbwheel.app.serving import serving
from thumbwheel.app.shared_log import demand_shared_log
from thumbwheel.app.storage import open_storage
from thumbwheel.app.trust import demand_guarded, grpc_hosts, probes_host
from thumbwheel.config.settings import Settings
from thumbwheel.feedback.keys import load_keys
from thumbwheel.telemetry.metrics import Metrics


async def run(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the addresses once the doors are open.

    Raises:
        HomeInUse: another process runs on the home.
        InvalidConfig: the log is embedded, the key file is missing or can be read by others, or a port is taken.
        SchemaMismatch: a newer release wrote the database.
        Unavailable: the home can not be written. A database that is away is waited for.
    """
    demand_shared_log(settings, "serve")
    demand_guarded(settings, {**grpc_hosts(settings), **probes_host(settings)})
    os.umask(0o077)  # users' texts are in the outbox
    stopped, started_us, metrics = on_signals(), time.time_ns() // 1000, Metrics()
    async with AsyncExitStack() as stack:
        home = stack.enter_context(Home(settings.home))
        identity = Identity.of(load_keys(settings.keys_path), settings)
        if not await database_there(settings, settings.probes.serve_port, "probes.serve_port", metrics, stopped):
            return
        storage = stack.enter_context(open_storage(settings, write_observer(metrics.log)))
        source = storage.source
        assert source.outbox is not None  # Kafka is demanded
        stack.enter_context(relaying(source.outbox, source.log, metrics.outbox))
        stack.enter_context(adopting(settings, replicas_dir(settings), source.log))
        stack.enter_context(observing(metrics, Observer(at_log(source, settings.log_path))))
        loop = QueuedRuns(storage.store, storage.registry, settings)
        guard = stack.enter_context(admitting(settings))
        served = await stack.enter_async_context(serving(settings, storage, identity, metrics, loop, started_us, guard))
        port = settings.probes.serve_port
        url = await stack.enter_async_context(probing(settings, port, "probes.serve_port", served.health, metrics))
        addresses = Addresses(os.getpid(), served.address, served.admin_address, "", url)
        home.announce(addresses)
        ready(addresses)
        await stopped.wait()
        await served.host.drain()
        await ship_the_rest(source)
