"""How long a request takes on two versions, side by side, so that whatever else runs there meets both alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from thumbwheel.gates.evidence import Latency

WARM_UP = 3

Request = TypeVar("Request")


def compare_latency(
    requests: Sequence[Request], champion: Callable[[Request], object], candidate: Callable[[Request], object]
) -> Latency:
    """Seconds of each request on both, who goes first taken in turns; the first few are done beforehand, untimed."""
    for request in requests[:WARM_UP]:
        champion(request)
        candidate(request)
    versions, seconds = (champion, candidate), ([0.0] * len(requests), [0.0] * len(requests))
    for number, request in enumerate(requests):
        for side in (number % 2, 1 - number % 2):
            seconds[side][number] = _seconds(versions[side], request)
    return Latency(*seconds)


def _seconds(answer: Callable[[Request], object], request: Request) -> float:
    began = time.perf_counter()
    answer(request)
    return time.perf_counter() - began
