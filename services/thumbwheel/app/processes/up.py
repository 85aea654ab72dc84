"""The whole service in one process: what `thumbwheel up` runs.

It comes up from the inside out and goes down the other way round:

1. the home is locked; a database elsewhere that is away is waited for, /healthz saying so where the pages will be; the
   storage is opened, relay and ingest are started, and runs that were interrupted go on;
2. the doors are opened, saying NOT_SERVING, while the reconciler loads what the registry's channels point at;
3. the pages are opened, the schedule starts; once the first versions are loaded, or can not be, the addresses are
   announced in the home. So a service that can not come up (a port is taken) starts no new run.

On SIGTERM or SIGINT the doors say NOT_SERVING and requests in flight finish; then the schedule and the pages close and
the models are freed. What the log holds and the store has not stays in the log for the next start, and so does what is
left in an outbox. A broker that is away keeps nothing from starting: events go into the outbox, and ingest waits. But a
first start makes the keys, and has to ask the broker whether it may.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from thumbwheel.app.admission import admitting
from thumbwheel.app.awaiting import database_there
from thumbwheel.app.first_keys import keys_of_whole_service
from thumbwheel.app.health import beside
from thumbwheel.app.home import Addresses, Home, trains_here
from thumbwheel.app.identity import Identity
from thumbwheel.app.ingesting import ingesting
from thumbwheel.app.learning import learning
from thumbwheel.app.lifetime import on_signals
from thumbwheel.app.observing import observing, whole_service, write_observer
from thumbwheel.app.outboxes import adopting, replicas_dir, shipping
from thumbwheel.app.pages import Behind, Doors, pages
from thumbwheel.app.publishing import publishing_dead_letters
from thumbwheel.app.relaying import relaying
from thumbwheel.app.retention import dropping_keys, forget_everywhere, retaining
from thumbwheel.app.serving import Serving, serving
from thumbwheel.app.settled import is_settled
from thumbwheel.app.storage import Storage, open_storage
from thumbwheel.app.trust import calls_tls, demand_guarded, grpc_hosts
from thumbwheel.config.settings import Settings
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health

INGEST_PART = "ingest of events"  # no policy has such a name


async def run(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Run the service until SIGTERM or SIGINT; `ready` is told the addresses once the doors are open.

    Raises:
        HomeInUse: another process runs on the home.
        InvalidConfig: a port is taken; the key file can be read by others, or is missing while Kafka has users' keys.
        SchemaMismatch: a newer release wrote the database.
        Unavailable: the home can not be written; or there are no keys yet, and Kafka can not be asked for users' keys.
            A database that is away is waited for.
    """
    demand_guarded(settings, grpc_hosts(settings))
    calls_tls(settings, f"{settings.serve.host}:{settings.serve.port}")  # the pages' own
    # What is written here holds users' texts: for this user's eyes only, also where the home was opened to others.
    os.umask(0o077)
    stopped, started_us, metrics = on_signals(), time.time_ns() // 1000, Metrics()
    async with AsyncExitStack() as stack:
        home = stack.enter_context(Home(settings.home))
        stack.enter_context(trains_here(settings.home))
        keys = keys_of_whole_service(settings, started_us)
        if not await database_there(settings, settings.serve.web_port, "serve.web_port", metrics, stopped):
            return
        storage = stack.enter_context(open_storage(settings, write_observer(metrics.log)))
        ingest = _move_events(stack, settings, storage, metrics)
        training = stack.enter_context(learning(settings, storage.store, storage.registry))
        identity = Identity.of(keys, settings)
        guard = stack.enter_context(admitting(settings))
        served = await stack.enter_async_context(
            serving(settings, storage, identity, metrics, training, started_us, guard)
        )

        async def settled() -> bool:
            return await is_settled(storage.store, storage.source, partial(shipping, replicas_dir(settings)))

        def healthy() -> Health:
            return beside(served.health(), INGEST_PART, ingest.problem)

        doors = Doors(served.address, served.admin_address, guard.inner_key if guard else "", guard)
        behind = Behind(doors, storage.store, healthy, metrics.registry, settled)
        web = await stack.enter_async_context(pages(settings, keys, behind))
        training.follow_schedule()
        if not await _loaded(served, stopped):
            return
        addresses = Addresses(os.getpid(), served.address, served.admin_address, web, web)
        home.announce(addresses)
        ready(addresses)
        await stopped.wait()
        await served.host.drain()


async def _loaded(served: Serving, stopped: asyncio.Event) -> bool:
    """Wait until loading was tried for all that the registry names; False when the service was stopped first."""
    waits = [asyncio.create_task(served.inference.tried()), asyncio.create_task(stopped.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    return not stopped.is_set()


def _move_events(stack: AsyncExitStack, settings: Settings, storage: Storage, metrics: Metrics) -> IngestWorker:
    """Ship the outbox, move the log into the store, and look at both, until `stack` is left; return who moves it.

    What replicas on Ray left, when they served on this home, comes into the log, too, be it Kafka or embedded.
    """
    source = storage.source
    if source.outbox is not None:
        stack.enter_context(relaying(source.outbox, source.log, metrics.outbox))
        stack.enter_context(publishing_dead_letters(source, storage.store, metrics.ingest))
    stack.enter_context(adopting(settings, replicas_dir(settings), source.log))
    stack.enter_context(retaining(settings, lambda actor: forget_everywhere(settings, storage.store, source, actor)))
    stack.enter_context(dropping_keys(source))
    worker = stack.enter_context(ingesting(source, storage.store, settings.ingest, metrics.ingest))
    observer = whole_service(source, storage.store, storage.registry, settings.log_path)
    stack.enter_context(observing(metrics, observer))
    return worker
