"""Erasures that were asked for elsewhere, followed in the runs of this home."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from thumbwheel.app.background import in_background
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Unavailable
from thumbwheel.records import AuditAction
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.retrain.erase import follow_erasures
from thumbwheel.store.port import FeedbackStore
from thumbwheel.telemetry.logging import get_logger

_LOOK_S = 2.0
_ANYWAY_S = 3_600.0  # whoever erased may have been killed before it wrote that it did
_NEWEST = 20

logger = get_logger(__name__)


@contextmanager
def following_erasures(settings: Settings, store: FeedbackStore) -> Iterator[None]:
    """Take users that are erased out of this home's runs while the block runs: at once, and within seconds of each."""
    kept = open_reports(settings)

    def work(stop: threading.Event) -> None:
        done, since = None, 0.0
        while not stop.is_set():
            try:
                last = _last_erasure_us(store)
                if last != done or time.monotonic() - since > _ANYWAY_S:
                    since = time.monotonic()
                    follow_erasures(settings.runs_dir, store, kept)
                    done = last
            except Unavailable as error:
                logger.warning("erasures are followed later", problem=str(error))
            except Exception:
                # A defect. Nothing is half done: what was not removed is removed the next time.
                logger.exception("erasures could not be followed; tried again")
            stop.wait(_LOOK_S)

    with in_background("erasures", work):
        yield


def _last_erasure_us(store: FeedbackStore) -> int:
    """When a user was erased last; 0 where the newest entries tell of none."""
    trail = store.audit_trail("", _NEWEST)
    return max((one.time_us for one in trail if one.action == AuditAction.USER_ERASED), default=0)
