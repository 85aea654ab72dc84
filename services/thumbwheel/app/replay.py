"""A store, rebuilt from the log into an empty database: the same rows as the one it stands for."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from thumbwheel.app.home import Home
from thumbwheel.app.retention import forget_past
from thumbwheel.app.storage import open_source
from thumbwheel.bus.port import EventLog
from thumbwheel.bus.source import places
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Conflict
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.sql import open_store


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was read into the store. `gone` names partitions whose first records the log no longer has."""

    records: int
    dead_letters: int
    orphan_votes: int
    gone: tuple[str, ...]


def replay(settings: Settings) -> Replayed:
    """Read the whole log into the configured database, which was never written by ingest; the service must not run.

    Votes get new sequence numbers, in the order in which they are read now. Everything else is as it was, but for a
    vote that was given up before its answer came: it is joined to it. What waits in an outbox follows when the service
    runs, which goes on where this ended; dead letters are published once more. What is older than
    `store.retention_days` stays away.

    Raises:
        Conflict: the database has been written, or a service runs on the home.
        Unavailable: log or database went away; `thumbwheel up` would go on from there, and so an empty database is
            needed to start anew.
    """
    with Home(settings.home), closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        if not store.is_untouched():
            raise Conflict("database.url: this database has been written before; a replay needs an empty one")
        if settings.store.retention_days:
            forget_past(settings, store)
        source = open_source(settings, stack)
        gone = tuple(filter(None, (_gone(source.log, *place) for place in places(source.log))))
        worker = IngestWorker(source, store, settings.ingest)
        records = worker.drain()
        worker.expire_orphans()
        return Replayed(records, store.count_dead_letters(), store.count_orphans(), gone)


def _gone(log: EventLog, topic: str, partition: int) -> str:
    """Name the partition and what it lacks; empty where it begins with its first record."""
    found = log.read(topic, partition, 0, 1)
    first = found[0].offset if found else log.end_offset(topic, partition)
    return f"{topic}/{partition} below offset {first}" if first else ""
