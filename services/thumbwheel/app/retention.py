"""Retention: what is older than `store.retention_days` goes, from store, embedded log and snapshots, by itself.

Who ingests does it for the store, who trains for the runs in its home.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from thumbwheel.app.background import in_background
from thumbwheel.app.storage import open_source
from thumbwheel.bus.source import Source
from thumbwheel.config.settings import Settings
from thumbwheel.database.slices import first_id, start_ms
from thumbwheel.errors import Conflict, Unavailable
from thumbwheel.ingest.trimming import trim_past
from thumbwheel.records import AuditAction, AuditEntry, Forgotten
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.retrain.forget import forget_from_runs
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.logging import get_logger

_PERIOD_S = 3_600.0
_KEYS_PERIOD_S = 86_400.0
_DAY_US = 86_400_000_000

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What went: from the store, from the log (records), and the runs whose snapshots went."""

    store: Forgotten
    records: int
    runs: tuple[str, ...]


@contextmanager
def retaining(settings: Settings, apply: Callable[[str], object]) -> Iterator[None]:
    """Let `apply` remove what is past while the block runs, every hour, so that nothing is past for longer than that.

    `apply` is told who wants it.
    """
    if not settings.store.retention_days:
        yield
        return
    with in_background("retention", lambda stop: _every(_PERIOD_S, lambda: apply("schedule"), stop)):
        yield


@contextmanager
def dropping_keys(source: Source) -> Iterator[None]:
    """Remove users' keys that a log which drops events by itself needs no more, every day while the block runs.

    Such a log has a retention of its own, so this goes on where `store.retention_days` keeps everything.
    """
    sealed = source.sealed
    if sealed is None:
        yield
        return

    def drop() -> None:
        if dropped := sealed.drop_past_keys():
            logger.info("users' keys were removed: Kafka has nothing under them any more", keys=dropped)

    with in_background("past-keys", lambda stop: _every(_KEYS_PERIOD_S, drop, stop)):
        yield


def _every(period_s: float, apply: Callable[[], object], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            apply()
        except Unavailable as error:
            logger.warning("retention waits for its next turn", problem=str(error))
        except Exception:
            # A defect. Nothing is half done: what was not removed is removed the next time.
            logger.exception("retention failed and is tried again")
        stop.wait(period_s)


def apply_retention(settings: Settings, actor: str) -> Applied:
    """Apply it now to everything that can be reached from here, whether a service runs or not.

    Raises:
        Conflict: `store.retention_days` is 0: everything is kept.
        Unavailable: store or log are away; to be called again.
    """
    if not settings.store.retention_days:
        raise Conflict("store.retention_days is 0: everything is kept; set it to the number of days to keep")
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        return forget_everywhere(settings, store, open_source(settings, stack), actor)


def forget_everywhere(settings: Settings, store: FeedbackStore, source: Source, actor: str) -> Applied:
    """Remove what is past from store, embedded log and this home's runs. Raises Unavailable."""
    gone, records = forget_stored(settings, store, source, actor)
    return Applied(gone, records, forget_runs(settings, store, actor))


def forget_stored(settings: Settings, store: FeedbackStore, source: Source, actor: str) -> tuple[Forgotten, int]:
    """Remove what is past from the store and an embedded log; return of the latter how many records.

    Raises Unavailable.
    """
    gone = forget_past(settings, store)
    # An outbox holds what was not shipped, however old; Kafka removes by its topics' own retention.
    records = 0 if settings.log.is_shared else trim_past(source, store, gone.horizon_us)
    if gone.slices or gone.rows:
        _audit(settings, store, actor, f"{gone.slices} slices, {gone.rows} rows")
    return gone, records


def forget_runs(settings: Settings, store: FeedbackStore, actor: str) -> tuple[str, ...]:
    """Remove the snapshots of this home's runs that are past; return the runs. Raises Unavailable."""
    days = settings.store.slice_days
    before = first_id(start_ms(_oldest_us(settings) // 1_000, days))
    runs = tuple(forget_from_runs(settings.runs_dir, before, open_reports(settings)))
    if runs:
        _audit(settings, store, actor, f"snapshots of {len(runs)} runs")
    return runs


def forget_past(settings: Settings, store: FeedbackStore) -> Forgotten:
    """Remove from the store what is past, and keep it from coming in again. Raises Unavailable."""
    return store.forget_before(_oldest_us(settings), settings.store.slice_days)


def _oldest_us(settings: Settings) -> int:
    return time.time_ns() // 1_000 - settings.store.retention_days * _DAY_US


def _audit(settings: Settings, store: FeedbackStore, actor: str, subject: str) -> None:
    reason = f"older than {settings.store.retention_days} days"
    store.audit(AuditEntry(time.time_ns() // 1_000, AuditAction.PAST_FORGOTTEN, actor, reason, subject=subject))
