"""How fast one rater may vote: a token bucket each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from thumbwheel.errors import Overloaded

_MAX_RATERS = 65_536


class RaterLimits:
    """A bucket of `per_minute` votes for every rater, filled evenly over a minute.

    Only the raters seen last are remembered; one that was pushed out starts with a full bucket again. Used
    from one thread (the server's event loop).
    """

    def __init__(
        self, per_minute: int, max_raters: int = _MAX_RATERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow `per_minute` votes a minute; remember at most `max_raters`. `clock` returns seconds."""
        self._capacity = float(per_minute)
        self._per_s = per_minute / 60.0
        self._max_raters = max_raters
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many raters are remembered."""
        return len(self._buckets)

    def take(self, rater: str) -> None:
        """Count one vote. Raises Overloaded, with the seconds to wait, when the rater's bucket is empty."""
        now = self._clock()
        left, seen = self._buckets.pop(rater, (self._capacity, now))
        left = min(self._capacity, left + (now - seen) * self._per_s)
        allowed = left >= 1.0
        self._buckets[rater] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > self._max_raters:
            self._buckets.popitem(last=False)
        if not allowed:
            raise Overloaded(
                f"user_id: more than {self._capacity:.0f} votes in a minute; wait and send them more slowly",
                retry_after_s=(1.0 - left) / self._per_s,
            )

    def give_back(self, rater: str) -> None:
        """Undo one `take`; nothing happens for a rater that is not remembered."""
        if rater in self._buckets:
            left, seen = self._buckets[rater]
            self._buckets[rater] = (min(self._capacity, left + 1.0), seen)
