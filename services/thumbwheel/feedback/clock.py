"""The service's time, in the order in which it was asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def _system_us() -> int:
    return time.time_ns() // 1000


class ServerClock:
    """Microseconds since the epoch, UTC, each later than the one before.

    Which vote counts is decided by its time: two votes within a microsecond, or a system clock that is set
    back, must not change their order.
    """

    def __init__(self, system_us: Callable[[], int] = _system_us) -> None:
        """Follow `system_us`."""
        self._system_us = system_us
        self._last_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """Return the time."""
        with self._lock:
            self._last_us = max(self._last_us + 1, self._system_us())
            return self._last_us
