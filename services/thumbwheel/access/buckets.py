"""How often somebody may: a token bucket each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from thumbwheel.errors import Overloaded

_MAX_NAMES = 65_536


class Buckets:
    """A bucket of `per_minute` for every name, filled evenly over a minute.

    Only the names seen last are remembered; one that was pushed out starts with a full bucket again. Used
    from one thread (the server's event loop).
    """

    def __init__(
        self,
        per_minute: int,
        refusal: str,
        max_names: int = _MAX_NAMES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow `per_minute` a minute, else say `refusal`; remember at most `max_names`. `clock` returns seconds."""
        self._capacity = float(per_minute)
        self._per_s = per_minute / 60.0
        self._refusal = refusal
        self._max_names = max_names
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._buckets)

    def take(self, name: str) -> None:
        """Count one. Raises Overloaded, with the seconds to wait, when the name's bucket is empty."""
        now = self._clock()
        left, seen = self._buckets.pop(name, (self._capacity, now))
        left = min(self._capacity, left + (now - seen) * self._per_s)
        allowed = left >= 1.0
        self._buckets[name] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > self._max_names:
            self._buckets.popitem(last=False)
        if not allowed:
            raise Overloaded(self._refusal, retry_after_s=(1.0 - left) / self._per_s)

    def give_back(self, name: str) -> None:
        """Undo one `take`; nothing happens for a name that is not remembered."""
        if name in self._buckets:
            left, seen = self._buckets[name]
            self._buckets[name] = (min(self._capacity, left + 1.0), seen)
