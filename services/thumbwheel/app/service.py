"""The whole service in one process: what `thumbwheel up` runs.

It comes up from the inside out and goes down the other way round:

1. the home is locked, the storage opened, relay and ingest started, and runs that were interrupted go on;
2. the doors are opened, saying NOT_SERVING, while the reconciler loads what the registry's channels point at;
3. the pages are opened, the schedule starts, the addresses are announced in the home. So a service that can not come
   up (a port is taken) starts no new run.

On SIGTERM or SIGINT the doors say NOT_SERVING and requests in flight finish; then the schedule and the pages close and
the models are freed. What the log holds and the store has not stays in the log for the next start, and so does what is
left in an outbox. A broker that is away keeps nothing from starting: events go into the outbox, and ingest waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from importlib.metadata import version

from thumbwheel.admin.ports import ServiceFacts, Swap
from thumbwheel.app.doors import (
    ADMIN_SERVICE,
    FEEDBACK_SERVICE,
    Identity,
    admin_door,
    feedback_door,
    inference_door,
    ingest_progress,
)
from thumbwheel.app.health import health
from thumbwheel.app.home import Addresses, Home
from thumbwheel.app.inference import Inference
from thumbwheel.app.ingesting import ingesting
from thumbwheel.app.learning import TrainingLoop, learning
from thumbwheel.app.observing import Observer, observing, write_observer
from thumbwheel.app.publishing import publishing_dead_letters
from thumbwheel.app.relaying import relaying
from thumbwheel.app.retention import retaining
from thumbwheel.app.storage import Storage, open_storage
from thumbwheel.bus.port import TOPICS
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.keys import Keys, load_or_make_keys
from thumbwheel.hosts.local import ADMIN, PUBLIC, LocalHost
from thumbwheel.inference.reconcile import Reconciler
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.app import create_app
from thumbwheel.web.deps import RETRY, Deps
from thumbwheel.web.server import serving

_LIST_PATIENCE_S = 0.5  # how long somebody's list of votes waits for the last of them


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    settings: Settings
    keys: Keys
    storage: Storage
    identity: Identity
    policies: ServedPolicies
    reconciler: Reconciler
    ingest: IngestWorker
    training: TrainingLoop
    metrics: Metrics
    host: LocalHost
    started_us: int


async def serve(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Run the service until SIGTERM or SIGINT; `ready` is told the addresses once the doors are open.

    Raises:
        HomeInUse: another process runs on the home.
        InvalidConfig: a port is taken, or the key file can be read by others.
        SchemaMismatch: a newer release wrote the database.
        Unavailable: the home can not be written.
    """
    # What is written here holds users' texts: for this user's eyes only, also where the home was opened to others.
    os.umask(0o077)
    stopped = _on_signals()
    async with AsyncExitStack() as stack:
        home = stack.enter_context(Home(settings.home))
        service = await stack.enter_async_context(_running(settings))
        web_url = await stack.enter_async_context(_pages(service))
        service.training.follow_schedule()
        host = settings.serve.host
        ports = service.host.ports
        addresses = Addresses(os.getpid(), f"{host}:{ports[PUBLIC]}", f"{host}:{ports[ADMIN]}", web_url)
        home.announce(addresses)
        ready(addresses)
        await stopped.wait()
        await service.host.drain()


def _on_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets; a second one ends the process at once."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[Service]:
    """Steps 1 and 2 of the module's prose."""
    started_us = time.time_ns() // 1000
    metrics = Metrics()
    prepare_torch(settings.serve.torch_threads)
    async with AsyncExitStack() as stack:
        storage = stack.enter_context(open_storage(settings, write_observer(metrics.log)))
        keys = load_or_make_keys(settings.keys_path, started_us)
        identity = Identity.of(keys, settings)
        source = storage.source
        if source.outbox is not None:
            stack.enter_context(relaying(source.outbox, source.log, metrics.outbox))
            stack.enter_context(publishing_dead_letters(source, storage.store, metrics.ingest))
        stack.enter_context(retaining(settings, storage))
        worker = stack.enter_context(ingesting(source, storage.store, settings.ingest, metrics.ingest))
        observer = Observer(source, storage.store, storage.registry, settings.log_path)
        stack.enter_context(observing(metrics, observer))
        inference = Inference(settings, storage.registry, metrics)
        stack.push_async_callback(inference.close)
        inference.follow()
        policies, reconciler = inference.policies, inference.reconciler
        training = stack.enter_context(learning(settings, storage))
        facts = ServiceFacts(
            version("thumbwheel"),
            started_us,
            settings.home,
            worker.backlog,
            source.unshipped,
            lambda policy: _swap(reconciler, policy),
            reconciler.explain,
        )
        registrations = [
            inference_door(settings, storage.requests, identity, policies, metrics),
            feedback_door(settings, storage, identity, policies, metrics),
            admin_door(settings, storage, identity, training, facts, reconciler.nudge),
        ]
        host = LocalHost(settings.serve, registrations, metrics.rpc)
        await host.start()
        stack.push_async_callback(host.drain)
        for always_serving in (FEEDBACK_SERVICE, ADMIN_SERVICE):
            await host.set_serving(always_serving, True)
        inference.tell(host)
        yield Service(
            settings, keys, storage, identity, policies, reconciler, worker, training, metrics, host, started_us
        )


@asynccontextmanager
async def _pages(service: Service) -> AsyncIterator[str]:
    """Serve the pages; yield their address."""
    settings, host = service.settings.serve, service.settings.serve.host
    ports = service.host.ports
    async with AsyncClient(f"{host}:{ports[PUBLIC]}", retry=RETRY) as client:
        with closing(AdminClient(f"{host}:{ports[ADMIN]}", retry=RETRY)) as admin:
            app = create_app(_deps(service, client, admin))
            async with serving(app, host, settings.web_port, settings.drain_s) as url:
                yield url


def _deps(service: Service, client: AsyncClient, admin: AdminClient) -> Deps:
    settings = service.settings
    return Deps(
        client=client,
        admin=admin,
        votes=service.storage.store,
        rater_of=service.identity.raters.user_hash,
        health=lambda: health(service.policies, service.reconciler.problems(), service.host.draining),
        metrics=service.metrics.registry,
        runs_dir=settings.runs_dir,
        allowed_hosts=tuple(name.strip() for name in settings.serve.web_hosts.split(",")),
        max_classify_chars=settings.classify.max_input_chars,
        max_generate_chars=settings.generate.max_input_chars,
        settled=lambda: _settled(service),
        # a key of its own for cookies, so that no key serves two purposes
        secret=hmac.digest(service.keys.user_key, b"web cookies", hashlib.sha256),
    )


async def _settled(service: Service) -> bool:
    """Whether the store has every vote acknowledged before; also false where that can't be known."""
    try:
        await ingest_progress(service.storage, _LIST_PATIENCE_S).caught_up(TOPICS)
    except Unavailable:
        return False
    return True


def _swap(reconciler: Reconciler, policy: str) -> Swap:
    last = reconciler.last_swap.get(policy)
    # the first version's load at the start is no swap
    return Swap(last.version, last.duration_s) if last and last.previous else Swap()
