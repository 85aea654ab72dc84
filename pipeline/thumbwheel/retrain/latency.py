"""How long a request takes on two versions, taken in turns, so that whatever else runs there meets both alike."""

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
    """Seconds of each request on both; the first few are done beforehand, untimed."""
    for request in requests[:WARM_UP]:
        champion(request)
        candidate(request)
    pairs = [(_seconds(champion, request), _seconds(candidate, request)) for request in requests]
    return Latency([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _seconds(answer: Callable[[Request], object], request: Request) -> float:
    began = time.perf_counter()
    answer(request)
    return time.perf_counter() - began
