"""Retention: what is older than `store.retention_days` goes, from store, embedded log and snapshots, by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from thumbwheel.app.background import in_background
from thumbwheel.app.storage import Storage, open_source
from thumbwheel.bus.source import Source
from thumbwheel.config.settings import Settings
from thumbwheel.database.slices import first_id
from thumbwheel.errors import Conflict, Unavailable
from thumbwheel.ingest.trimming import trim_past
from thumbwheel.records import AuditAction, AuditEntry, Forgotten
from thumbwheel.retrain.forget import forget_from_runs
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.logging import get_logger

_PERIOD_S = 3_600.0
_DAY_US = 86_400_000_000

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What went: from the store, from the log (records), and the runs whose snapshots went."""

    store: Forgotten
    records: int
    runs: tuple[str, ...]


@contextmanager
def retaining(settings: Settings, storage: Storage) -> Iterator[None]:
    """Apply the retention while the block runs, every hour, so that no slice is past for longer than that."""
    if not settings.store.retention_days:
        yield
        return

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                _apply(settings, storage.store, storage.source, "schedule")
            except Unavailable as error:
                logger.warning("retention waits for its next turn", problem=str(error))
            except Exception:
                # A defect. Nothing is half done: what was not removed is removed the next time.
                logger.exception("retention failed and is tried again")
            stop.wait(_PERIOD_S)

    with in_background("retention", work):
        yield


def apply_retention(settings: Settings, actor: str) -> Applied:
    """Apply it now, whether a service runs or not.

    Raises:
        Conflict: `store.retention_days` is 0: everything is kept.
        Unavailable: store or log are away; to be called again.
    """
    if not settings.store.retention_days:
        raise Conflict("store.retention_days is 0: everything is kept; set it to the number of days to keep")
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        return _apply(settings, store, open_source(settings, stack), actor)


def forget_past(settings: Settings, store: FeedbackStore) -> Forgotten:
    """Remove from the store what is past, and keep it from coming in again. Raises Unavailable."""
    time_us = time.time_ns() // 1_000 - settings.store.retention_days * _DAY_US
    return store.forget_before(time_us, settings.store.slice_days)


def _apply(settings: Settings, store: FeedbackStore, source: Source, actor: str) -> Applied:
    gone = forget_past(settings, store)
    # An outbox holds what was not shipped, however old; Kafka removes by its topics' own retention.
    records = trim_past(source, store, gone.horizon_us) if source.outbox is None else 0
    runs = tuple(forget_from_runs(settings.runs_dir, first_id(gone.horizon_us // 1_000)))
    if gone.slices or gone.rows or runs:
        subject = f"{gone.slices} slices, {gone.rows} rows, snapshots of {len(runs)} runs"
        reason = f"older than {settings.store.retention_days} days"
        store.audit(AuditEntry(time.time_ns() // 1_000, AuditAction.PAST_FORGOTTEN, actor, reason, subject=subject))
    return Applied(gone, records, runs)
