"""Counts how requests to both versions of a canary's trial go in this process, for who watches the trial."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from thumbwheel.errors import InvalidInput, Overloaded
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.registry.serving_tally import Tally
from thumbwheel.registry.trial import Served as Counted

Key = tuple[int, str]
"""(trial, version)."""

# A caller gives up at its own deadline. gRPC tells the server how long that is, rounded up by less than a millisecond
# or 1 %, so the cancellation can come that much before the server's deadline.
_ROUNDED_UP_S = 0.001
_ROUNDED_UP = 0.01


class TrialTally:
    """Tallies by trial and version. Lives on the event loop."""

    def __init__(self, policies: ServedPolicies) -> None:
        """Count while `policies` know of a trial."""
        self._policies = policies
        self._tallies: dict[Key, Tally] = {}

    @contextmanager
    def counting(self, served: Served, time_left_s: Callable[[], float | None]) -> Iterator[None]:
        """Count the request that the block answers; `time_left_s` is until its deadline, None without one.

        A request that is wrong, or comes when all is full, is not counted. One that is cancelled is a failure of the
        version where its deadline ran out, but not where who asked hung up before; it took as long as it was waited
        for at least, so a version that hangs shows even to callers without a deadline.
        """
        split = self._policies.split(served.ref.policy)
        if split is None:
            yield
            return
        tally = self._tallies.setdefault((split.trial_id, served.ref.version), Tally())
        started, allowed_s = monotonic(), time_left_s()
        try:
            yield
        except (InvalidInput, Overloaded):
            raise
        except asyncio.CancelledError:
            waited_s, left_s = monotonic() - started, time_left_s()
            if allowed_s is not None and left_s is not None and left_s <= _ROUNDED_UP_S + _ROUNDED_UP * allowed_s:
                tally.timed_out(waited_s)
            else:
                tally.given_up(waited_s)
            raise
        except Exception:
            tally.failed()
            raise
        tally.succeeded(monotonic() - started)

    def so_far(self) -> dict[Key, Counted]:
        """What was counted of trials that are on; that of others is forgotten."""
        on = {split.trial_id for info in self._policies.known() if (split := self._policies.split(info.policy))}
        self._tallies = {key: tally for key, tally in self._tallies.items() if key[0] in on}
        return {key: tally.so_far() for key, tally in self._tallies.items()}
