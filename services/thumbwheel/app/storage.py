"""The adapters behind the storage ports, as the settings choose them: what `up` and `policy init` keep things in.

A run's process (`retrain/worker.py`) and `doctor.py` open the store and the registry for themselves.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from thumbwheel.app.durability import feedback_durability
from thumbwheel.app.home import make_home
from thumbwheel.bus.broker_votes import BrokerVotes
from thumbwheel.bus.group import Group
from thumbwheel.bus.group_commit import GroupCommitter, Write
from thumbwheel.bus.known_away import KnownAway
from thumbwheel.bus.port import FEEDBACK, USER_KEYS, DurableAppender, EventLog, RecordAppender
from thumbwheel.bus.sealed_log import SealedLog
from thumbwheel.bus.sealing import OVERHEAD_BYTES, Wrapping
from thumbwheel.bus.source import CONSUMER, Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.feedback.keys import Keys, load_keys
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import Registry
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.store.user_keys import SqlUserKeys
from thumbwheel.telemetry.logging import get_logger

_BALLAST_BYTES = 16 << 20

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Storage:
    """What a process keeps things in: answers and votes are appended, `source` leads them into the store."""

    source: Source
    requests: RecordAppender
    votes: RecordAppender
    store: FeedbackStore
    registry: Registry


@contextmanager
def open_storage(
    settings: Settings, on_write: Callable[[Write], None], log_path: Path | None = None
) -> Iterator[Storage]:
    """Open everything; on leaving, appends in flight finish and all is closed. `on_write` hears of durable writes.

    The log, or the outbox, is the home's unless `log_path` names another file.

    Raises:
        InvalidConfig: Kafka's password can not be read, or, with Kafka, the key file, which is never made here.
        SchemaMismatch: a newer release wrote the database.
        Unavailable: a file can not be opened or written. A broker that is away is no reason: it may come.
    """
    make_home(settings.home)
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(settings.database_url)))
        registry = stack.enter_context(closing(_registry(settings)))
        source = open_source(settings, stack, log_path)

        def committing(log: DurableAppender) -> GroupCommitter:
            return stack.enter_context(closing(GroupCommitter(log, settings.log.max_batch, on_write=on_write)))

        def at_broker(log: DurableAppender) -> GroupCommitter:
            there = KnownAway(log, lambda: source.log.end_offset(FEEDBACK, 0))
            return committing(stack.enter_context(closing(there)))

        requests = votes = committing(source.outbox or source.log)
        held = feedback_durability(settings)
        logger.info("where a vote is when its OK is given", place=held.place, why=held.why)
        if source.outbox is not None and settings.log.answer_durability == "broker":
            requests = at_broker(source.log)
        if source.outbox is not None and held.place == "broker":
            votes = at_broker(BrokerVotes(source.log, source.outbox, settings.kafka.ack_timeout_s))
        yield Storage(source, requests, votes, store, registry)


def open_source(settings: Settings, stack: ExitStack, log_path: Path | None = None) -> Source:
    """Open the log, and the outbox before it if there is one; `stack` closes them.

    Raises InvalidConfig, Unavailable as `open_storage` does.
    """
    if not settings.log.is_shared:
        return Source(stack.enter_context(closing(open_log(settings.log_path, max_bytes=settings.log.max_bytes))))
    outbox = stack.enter_context(closing(open_outbox(settings, log_path)))
    return replace(_behind_outbox(settings, load_keys(settings.keys_path), stack), outbox=outbox)


def open_outbox(settings: Settings, path: Path | None = None) -> EventLog:
    """Open the outbox before Kafka, the home's unless `path` names another; to be closed. Raises Unavailable."""
    return open_log(
        path or settings.log_path,
        max_bytes=settings.log.max_bytes,
        max_record_bytes=settings.kafka.max_record_bytes - OVERHEAD_BYTES,
        ballast_bytes=max(_BALLAST_BYTES, 4 * settings.kafka.max_record_bytes),
    )


def _behind_outbox(settings: Settings, keys: Keys, stack: ExitStack) -> Source:
    """Open Kafka, where events of users lie sealed, without an outbox: all there is to read where nothing is taken."""
    log = stack.enter_context(closing(open_kafka(settings)))
    wrapping = Wrapping(hmac.digest(keys.user_key, b"thumbwheel data keys", "sha256"))
    consumer = kafka_consumer(settings)
    table = stack.enter_context(closing(SqlUserKeys(connect(settings.database_url), consumer, USER_KEYS)))
    sealed = SealedLog(log, wrapping, table)
    return Source(sealed, consumer, sealed=sealed)


@contextmanager
def open_between(settings: Settings) -> Iterator[tuple[Source, FeedbackStore]]:
    """Open Kafka and the store alone, for who reads from the one into the other; nothing is kept in the home.

    The service's keys have to be there: with them users' events are opened.

    Raises InvalidConfig, SchemaMismatch, Unavailable as `open_storage` does.
    """
    if not settings.database.url:
        make_home(settings.home)  # the store is in it
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        yield _behind_outbox(settings, load_keys(settings.keys_path), stack), store


@contextmanager
def open_learned(settings: Settings) -> Iterator[tuple[FeedbackStore, Registry]]:
    """Open store and registry alone, for who learns from the one into the other. Raises as `open_storage` does."""
    make_home(settings.home)  # the runs' folders are in it
    with closing(open_store(settings.database_url)) as store, closing(_registry(settings)) as registry:
        yield store, registry


def ingest_group(settings: Settings) -> Group:
    """Return the group of those that read the same topics into the same store: others share nothing with them."""
    place = settings.database.url or str(settings.home)
    name = f"{settings.kafka.topic_prefix}thumbwheel.ingest.{zlib.crc32(place.encode()):08x}"
    return Group(name, settings.ingest.instance, settings.ingest.session_timeout_s)


def kafka_consumer(settings: Settings) -> str:
    """Return the name under which offsets of these topics are kept: the embedded log's, and others', mean nothing."""
    return f"{CONSUMER} kafka {settings.kafka.topic_prefix}".rstrip()


def open_registry(settings: Settings) -> SqlRegistry:
    """Open the registry alone, its tables made or brought up to date; to be closed.

    Raises SchemaMismatch when the database is of a newer release.
    """
    make_home(settings.home)
    engine = connect(settings.database_url)
    try:
        migrate(engine)
    finally:
        engine.dispose()
    return _registry(settings)


def open_kafka(settings: Settings) -> EventLog:
    """Open Kafka as it is, to be closed: users' events in it are sealed. Raises InvalidConfig."""
    # Imported where it is used: the embedded service does without the client.
    from thumbwheel.bus.kafka_log import open_kafka_log

    return open_kafka_log(settings.kafka)


def _registry(settings: Settings) -> SqlRegistry:
    return SqlRegistry(connect(settings.database_url), open_artifacts(settings))
