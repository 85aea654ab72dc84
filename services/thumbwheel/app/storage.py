"""The adapters behind the storage ports, as the settings choose them: what `up` and `policy init` keep things in.

A run's process (`retrain/worker.py`) and `doctor.py` open the store and the registry for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from thumbwheel.app.home import make_home
from thumbwheel.bus.group_commit import GroupCommitter, Write
from thumbwheel.bus.port import EventLog
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.registry.port import Registry
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store


@dataclass(frozen=True, slots=True)
class Storage:
    """What a process keeps things in."""

    log: EventLog
    committer: GroupCommitter
    store: FeedbackStore
    registry: Registry


@contextmanager
def open_storage(settings: Settings, on_write: Callable[[Write], None]) -> Iterator[Storage]:
    """Open everything; on leaving, appends in flight finish and all is closed. `on_write` hears of durable writes.

    Raises:
        SchemaMismatch: a newer release wrote the database.
        Unavailable: a file can not be opened or written.
    """
    make_home(settings.home)
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(settings.database_url)))
        registry = stack.enter_context(closing(_registry(settings)))
        log = stack.enter_context(closing(open_log(settings.log_path, max_bytes=settings.log.max_bytes)))
        committer = stack.enter_context(closing(GroupCommitter(log, settings.log.max_batch, on_write=on_write)))
        yield Storage(log, committer, store, registry)


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


def _registry(settings: Settings) -> SqlRegistry:
    return SqlRegistry(connect(settings.database_url), settings.versions_dir)
