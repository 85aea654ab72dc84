"""How fast one rater may vote."""

from __future__ import annotations

import time
from collections.abc import Callable

from thumbwheel.access.buckets import Buckets

_MAX_RATERS = 65_536


class RaterLimits(Buckets):
    """A bucket of `per_minute` votes for every rater, filled evenly over a minute."""

    def __init__(
        self, per_minute: int, max_raters: int = _MAX_RATERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow `per_minute` votes a minute; remember at most `max_raters`. `clock` returns seconds."""
        refusal = f"user_id: more than {per_minute:.0f} votes in a minute; wait and send them more slowly"
        super().__init__(per_minute, refusal, max_raters, clock)
