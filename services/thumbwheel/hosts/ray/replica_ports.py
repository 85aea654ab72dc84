"""Ports of replicas: each Ray of a machine has its own.

Ray gives replicas ports from a range that is the same for every Ray. A dead replica's port is sent to until the proxy
has heard of its end: the replica of another service that took it meanwhile would answer calls that are not its own, and
take votes into its own log. So every Ray that is begun here holds a block of ports for as long as it runs.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from secrets import SystemRandom

from thumbwheel.errors import Unavailable

_FIRST, _LAST = 20_000, 32_000  # below those that the system gives to whoever asks for any
_BLOCK = 100
_PORTS_A_REPLICA = 4  # two kinds of calls, and twice of each: a port rests for a while after its replica


@contextmanager
def held_ports(replicas: int) -> Iterator[range]:
    """Hold ports for so many replicas, and their successors, while the block runs.

    Raises Unavailable: those of other services leave too few.
    """
    size = -(-replicas * _PORTS_A_REPLICA // _BLOCK) * _BLOCK
    starts = range(_FIRST, _LAST - size + 1, _BLOCK)
    for start in SystemRandom().sample(starts, len(starts)):
        with ExitStack() as claims:
            try:
                for first in range(start, start + size, _BLOCK):
                    # Bound and nothing more, it keeps out whoever claims the block too, and is let go with the process.
                    claims.enter_context(socket.socket()).bind(("127.0.0.1", first))
            except OSError:
                continue
            yield range(start + 1, start + size)
            return
    said = f"no ports are left between {_FIRST} and {_LAST} for {replicas} replicas; end other services of this machine"
    raise Unavailable(said, 5.0)


def environment(ports: range) -> dict[str, str]:
    """What tells Ray to take a replica's ports from these."""
    middle = ports.start + len(ports) // 2
    return {
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.start),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(middle),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(middle),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.stop),
    }
