"""One of several processes that serve: what a replica is made of, whatever starts it.

It holds a folder on its machine, for its outbox; keys, database and versions are those that all replicas share. It is
opened once loading was tried for everything that the registry names, so that no call reaches one that has nothing yet.
It serves on a lease (`inference/lease.py`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace

from grpc_health.v1.health import aio as health_aio

from thumbwheel.app.doors import (
    FEEDBACK_SERVICE,
    INFERENCE_SERVICE,
    feedback_door,
    inference_door,
    request_log_of,
)
from thumbwheel.app.durability import feedback_durability
from thumbwheel.app.identity import Identity
from thumbwheel.app.inference import Inference
from thumbwheel.app.observing import Observer, at_log, observing, write_observer
from thumbwheel.app.outboxes import OtherOutboxes, adopting, held_folder, outbox_of, replicas_dir
from thumbwheel.app.relaying import relaying, ship_the_rest
from thumbwheel.app.storage import Storage, open_storage
from thumbwheel.bus.answers_elsewhere import AnswersElsewhere
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig
from thumbwheel.feedback.keys import Keys, load_keys
from thumbwheel.hosts.local import Registration, serving_status
from thumbwheel.inference.lease import Lease, LeaseHolder, Witness
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.telemetry.metrics import Metrics

_TELL_S = 1.0


@dataclass(frozen=True, slots=True)
class Replica:
    """What answers calls. Health follows what is served, and whether it may be."""

    registrations: tuple[Registration, ...]
    health: health_aio.HealthServicer
    inference: Inference
    request_log: RequestLog
    lease: Lease


@asynccontextmanager
async def replica(
    settings: Settings,
    metrics: Metrics,
    witness: Witness,
    keys_known: tuple[str, ...],
    told: Callable[[Replica], None],
) -> AsyncIterator[Replica]:
    """Serve while the block runs; then requests in flight finish, and the models are freed.

    `keys_known` are the ids of the token keys that the others have; `told` hears every second how this one is.

    Raises:
        InvalidConfig: the key file is missing or another one.
        Unavailable: the home can't be written, or the database is away.
    """
    os.umask(0o077)  # users' texts are in the outbox
    prepare_torch(settings.serve.torch_threads or max(1, int(settings.ray.cpus)))
    async with AsyncExitStack() as stack:
        identity = Identity.of(_shared_keys(settings, keys_known), settings)
        storage = _storage(stack, settings, metrics)
        lease = Lease(settings.ray.lease_s)
        inference = Inference(settings, storage.registry, metrics, lease=lease)
        stack.push_async_callback(inference.close)
        holder = LeaseHolder(lease, storage.registry.generation, lambda: inference.reconciler.generation, witness)
        stack.push_async_callback(_ended, asyncio.create_task(holder.run(), name="lease"))
        inference.follow()
        await inference.tried()
        policies, health = inference.policies, health_aio.HealthServicer()
        request_log = request_log_of(storage.requests, identity, metrics)
        registrations = (
            inference_door(settings, request_log, policies, metrics, inference.beside),
            feedback_door(settings, storage, identity, policies, metrics),
        )
        opened = Replica(registrations, health, inference, request_log, lease)
        stack.push_async_callback(_ended, asyncio.create_task(_telling(opened, told), name="telling"))
        yield opened
        await health.enter_graceful_shutdown()
        await ship_the_rest(storage.source)


def _storage(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> Storage:
    outbox = outbox_of(stack.enter_context(held_folder(replicas_dir(settings))))
    storage = stack.enter_context(open_storage(settings, write_observer(metrics.log), outbox))
    source = storage.source
    assert source.outbox is not None  # Kafka is demanded
    stack.enter_context(relaying(source.outbox, source.log, metrics.outbox))
    stack.enter_context(adopting(settings, replicas_dir(settings), source.log))
    stack.enter_context(observing(metrics, Observer(at_log(source, outbox))))
    if feedback_durability(settings).place == "broker":
        # Clients' votes come to any replica, whichever gave the answer; `serve` on this home may have left some, too.
        others = stack.enter_context(closing(OtherOutboxes(outbox, replicas_dir(settings), [settings.log_path])))
        votes = AnswersElsewhere(storage.votes, others.held, settings.kafka.ack_timeout_s)
        storage = replace(storage, votes=votes)
    return storage


def _shared_keys(settings: Settings, known: tuple[str, ...]) -> Keys:
    """Read the keys. With others than the rest has, this replica would refuse the votes on the rest's answers."""
    keys = load_keys(settings.keys_path)
    if tuple(key.key_id for key in keys.token_keys) != known:
        raise InvalidConfig(
            str(settings.keys_path), "is another key file than the service has: give every node the same"
        )
    return keys


async def _telling(replica: Replica, told: Callable[[Replica], None]) -> None:
    """Let health follow what is served; by the clock, since a lease lapses without anything happening."""
    health, policies = replica.health, replica.inference.policies
    await health.set(FEEDBACK_SERVICE, serving_status(True))
    while True:
        for name in (INFERENCE_SERVICE, ""):
            await health.set(name, serving_status(policies.serving))
        told(replica)
        await asyncio.sleep(_TELL_S)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
