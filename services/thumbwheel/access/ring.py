"""The keys of the store, as they were half a second ago at most.

A call is not to wait for the database, and a key that was revoked is to be refused within a second. So all keys are
read twice a second, and calls look at what was read. While the database is away nobody can revoke a key there, and what
was read last holds on, for `away_s` at most: this process may be cut off from a database that others reach.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from thumbwheel.errors import Unavailable
from thumbwheel.records import ApiKey
from thumbwheel.telemetry.logging import get_logger

LOOK_S = 0.5
_USED_EVERY_S = 30.0
_FRESH_S = 1.0

logger = get_logger(__name__)


class KeyTable(Protocol):
    """Where keys are kept. Calls block, from any thread."""

    def all(self) -> list[ApiKey]:
        """Return every key. Raises Unavailable."""

    def used(self, times_us: Mapping[str, int]) -> None:
        """Note when keys, by id, were last used. Raises Unavailable."""


class KeyRing:
    """The keys as they were read last. Found and noted from one event loop, refreshed from any thread."""

    def __init__(self, table: KeyTable, away_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys of `table`. Raises Unavailable."""
        self._table = table
        self._away_s = away_s
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, int] = {}
        self._keys: Mapping[str, ApiKey] = {}
        self._read_at = 0.0
        self.refresh()

    def find(self, key_id: str) -> ApiKey | None:
        """Return a key, or None. Raises Unavailable when the keys could not be read for too long."""
        if self._clock() - self._read_at > self._away_s:
            raise Unavailable("the database is away, and whether the API key is still good can't be seen", 5.0)
        return self._keys.get(key_id)

    @property
    def is_fresh(self) -> bool:
        """Whether the keys are known as they are now: a key that is not among them does not exist."""
        return self._clock() - self._read_at <= _FRESH_S

    def refresh(self) -> None:
        """Read the keys now. Raises Unavailable."""
        began = self._clock()
        keys = {key.key_id: key for key in self._table.all()}
        with self._lock:
            # Of two that read at once the one that began later knows more.
            if began >= self._read_at:
                self._keys, self._read_at = keys, began

    def note_use(self, key_id: str, time_us: int) -> None:
        """Remember that a key was used."""
        self._used[key_id] = time_us

    def follow(self, stop: threading.Event) -> None:
        """Refresh the keys, and write now and then when they were used, until `stop` is set."""
        wrote_at, away = self._clock(), False
        while not stop.wait(LOOK_S):
            try:
                self.refresh()
                if self._clock() - wrote_at >= _USED_EVERY_S:
                    wrote_at = self._clock()
                    self._write_used()
            except Unavailable as error:
                if not away:
                    logger.warning("API keys can't be read; those known go on being good", problem=str(error))
                away = True
            except Exception:
                # A defect. What was read last holds until `away_s` is over.
                logger.exception("reading the API keys failed and is tried again")
            else:
                away = False
        self._write_last_used()

    def _write_last_used(self) -> None:
        try:
            self._write_used()
        except Unavailable as error:
            logger.warning("when API keys were last used was not written", problem=str(error))

    def _write_used(self) -> None:
        used, self._used = self._used, {}
        if used:
            self._table.used(dict(used))  # a call may be noting yet
