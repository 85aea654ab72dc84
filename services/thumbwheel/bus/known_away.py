"""A log that is known to be away refuses at once.

Whoever finds it away has waited for it until its time was up. Others need not wait as long again, one after another,
behind the one thread that appends: until the log answers they are told at once, so that a caller with less patience
than the log's hears why it is refused, and when to come again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from thumbwheel.bus.port import DurableAppender, NewRecord
from thumbwheel.errors import LogUnavailable

_LOOK_S = 0.5


class KnownAway:
    """A `DurableAppender` over another. Any thread may append."""

    def __init__(self, log: DurableAppender, look: Callable[[], object]) -> None:
        """Append to `log`; `look` raises LogUnavailable while it is away, and is called from a thread of its own."""
        self._log = log
        self._look = look
        self._problem: LogUnavailable | None = None
        self._looking: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append as the log below does. Raises as it does, and LogUnavailable at once while it is known to be away."""
        problem = self._problem
        if problem is not None:
            raise LogUnavailable(str(problem), problem.retry_after_s)
        try:
            self._log.append(records)
        except LogUnavailable as error:
            self._watch(error)
            raise

    def close(self) -> None:
        """End the thread; a look that is under way comes to its end first. The log stays open."""
        self._closed.set()
        with self._lock:
            looking = self._looking
        if looking is not None:
            looking.join()

    def _watch(self, problem: LogUnavailable) -> None:
        with self._lock:
            if self._problem is not None or self._closed.is_set():
                return
            self._problem = problem
            self._looking = threading.Thread(target=self._look_until_it_answers, name="known-away", daemon=True)
            self._looking.start()

    def _look_until_it_answers(self) -> None:
        try:
            while not self._closed.wait(_LOOK_S):
                try:
                    self._look()
                except LogUnavailable:
                    continue
                return
        finally:
            self._problem = None
