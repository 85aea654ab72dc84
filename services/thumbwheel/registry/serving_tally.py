"""How requests go, counted in buckets of time that every process shares, so that counts of many add up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from thumbwheel.registry.trial import Served

# Upper ends in seconds: 1 ms and then a quarter more each, up to about 5 minutes; longer ones are in one more bucket.
BUCKETS_S: Final = tuple(0.001 * 1.25**step for step in range(57))


class Tally:
    """Counts requests to one version. Used from one thread."""

    def __init__(self) -> None:
        self._requests = 0
        self._failures = 0
        self._latencies = [0] * (len(BUCKETS_S) + 1)

    def succeeded(self, duration_s: float) -> None:
        """Count a request that was answered."""
        self._took(duration_s)

    def given_up(self, after_s: float) -> None:
        """Count a request that its asker did not wait for: it would have taken `after_s` at least (right-censored)."""
        self._took(after_s)

    def timed_out(self, after_s: float) -> None:
        """Count a request that was not answered by its deadline: a failure, which took `after_s` at least."""
        self._took(after_s)
        self._failures += 1

    def failed(self) -> None:
        """Count a request that could not be answered, for no fault of who asked."""
        self._requests += 1
        self._failures += 1

    def so_far(self) -> Served:
        """What was counted."""
        return Served(self._requests, self._failures, tuple(self._latencies))

    def _took(self, duration_s: float) -> None:
        self._requests += 1
        self._latencies[bisect_left(BUCKETS_S, duration_s)] += 1


def slower_than(latencies: Sequence[int], bucket: int) -> tuple[int, int]:
    """Return how many requests took longer than a bucket's upper end, and how many did not."""
    return sum(latencies[bucket + 1 :]), sum(latencies[: bucket + 1])


def bucket_of_share(latencies: Sequence[int], share: float) -> int:
    """Return the first bucket up to which at least `share`, in (0, 1], of the requests lie; -1 without any."""
    least, reached = share * sum(latencies), 0
    for bucket, count in enumerate(latencies):
        reached += count
        if reached and reached >= least:
            return bucket
    return -1
