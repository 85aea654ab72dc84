"""From Kafka into the store: what `thumbwheel ingest` runs. Several of them share the partitions.

It keeps nothing but what is in the store: rows and offsets move in one transaction, so it may be killed at any moment,
and started anywhere. With a broker or a database that is away it waits, and says so at /healthz.

On SIGTERM or SIGINT the transaction in hand is finished, and the group left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass

from thumbwheel.app.awaiting import database_there
from thumbwheel.app.ingesting import ingesting
from thumbwheel.app.lifetime import on_signals
from thumbwheel.app.observing import Observer, at_lag, at_store, observing
from thumbwheel.app.probing import probing
from thumbwheel.app.publishing import publishing_dead_letters
from thumbwheel.app.retention import dropping_keys, forget_stored, retaining
from thumbwheel.app.shared_log import demand_shared_log
from thumbwheel.app.storage import ingest_group, open_between
from thumbwheel.app.trust import demand_guarded, probes_host
from thumbwheel.bus.port import FEEDBACK
from thumbwheel.bus.source import Place
from thumbwheel.config.settings import Settings
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health, HealthState

_PUBLISHER: Place = (FEEDBACK, 0)  # whose worker publishes the dead letters, of all partitions


@dataclass(frozen=True, slots=True)
class Started:
    """Where it tells of itself, and among whom it shares the work."""

    probes: str
    group: str


async def run(settings: Settings, ready: Callable[[Started], None]) -> None:
    """Move Kafka into the store until SIGTERM or SIGINT; `ready` is told once it has begun.

    Raises:
        InvalidConfig: the log is embedded, or the probes' port is taken.
        SchemaMismatch: a newer release wrote the database.
    """
    demand_shared_log(settings, "ingest")
    demand_guarded(settings, probes_host(settings))
    # Imported where it is used: what has no Kafka does without the client.
    from thumbwheel.bus.kafka_membership import KafkaMembership

    stopped, metrics, group = on_signals(), Metrics(), ingest_group(settings)
    async with AsyncExitStack() as stack:
        if not await database_there(settings, settings.probes.ingest_port, "probes.ingest_port", metrics, stopped):
            return
        source, store = stack.enter_context(open_between(settings))
        membership = stack.enter_context(closing(KafkaMembership(settings.kafka, group)))
        observer = Observer(at_store(store), at_lag(source, store), lambda seen: seen.ingest.partitions.set(held()))
        stack.enter_context(observing(metrics, observer))
        stack.enter_context(retaining(settings, lambda actor: forget_stored(settings, store, source, actor)))
        stack.enter_context(dropping_keys(source))

        def held() -> int:
            return len(membership.held)

        def publishes() -> bool:
            return _PUBLISHER in membership.held

        worker = stack.enter_context(ingesting(source, store, settings.ingest, metrics.ingest, membership.places))
        stack.enter_context(publishing_dead_letters(source, store, metrics.ingest, publishes))

        def health() -> Health:
            state = HealthState.DEGRADED if worker.problem else HealthState.SERVING
            return Health(state, {"ingest": worker.problem or f"works on {held()} partitions"})

        port = settings.probes.ingest_port
        url = await stack.enter_async_context(probing(settings, port, "probes.ingest_port", health, metrics))
        ready(Started(url, group.name))
        await stopped.wait()
