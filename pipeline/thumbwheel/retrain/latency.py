"""How long a request takes on two versions, side by side, so that whatever else runs there meets both alike.

A machine that trains while it serves has bursts, and a request of a millisecond can meet one whole. So the requests are
gone through again and again, for a while, and of each the least time counts: what else runs there can only add to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from thumbwheel.gates.evidence import Latency

LEAST_ROUNDS = 3
LEAST_S = 2.0

Request = TypeVar("Request")


def compare_latency(
    requests: Sequence[Request],
    champion: Callable[[Request], object],
    candidate: Callable[[Request], object],
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Least seconds of each request on both, over rounds spread over 2 s at least; who goes first is taken in turns.

    An untimed round goes before. `clock` gives seconds.
    """
    versions = (champion, candidate)
    for request in requests:
        for answer in versions:
            answer(request)
    least_2R = np.full((2, len(requests)), np.inf)
    began, rounds = clock(), 0
    while requests and (rounds < LEAST_ROUNDS or clock() - began < LEAST_S):
        for number, request in enumerate(requests):
            first = (number + rounds) % 2
            for side in (first, 1 - first):
                asked = clock()
                versions[side](request)
                least_2R[side, number] = min(least_2R[side, number], clock() - asked)
        rounds += 1
    return Latency(*least_2R)
