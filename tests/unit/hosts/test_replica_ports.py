"""Ports for replicas: no two services have one in common."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from thumbwheel.errors import Unavailable
from thumbwheel.hosts.ray import replica_ports
from thumbwheel.hosts.ray.replica_ports import environment, held_ports


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_ports, "_FIRST", 23_000)
    monkeypatch.setattr(replica_ports, "_LAST", 23_600)


def test_what_is_held_at_once_has_nothing_in_common() -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(held_ports(replicas)) for replicas in (30, 26, 2, 2)]
        ports = [port for one in held for port in one]
        assert len(ports) == len(set(ports)) == 199 + 199 + 99 + 99
        with pytest.raises(Unavailable, match="no ports are left between 23000 and 23600 for 1 replicas"):
            stack.enter_context(held_ports(1))


def test_it_is_let_go_however_the_block_ends() -> None:
    for _ in range(10):
        with pytest.raises(OSError, match="mine"), held_ports(150):
            raise OSError("mine")


def test_each_kind_of_calls_has_a_half() -> None:
    told = environment(range(23_001, 23_100))
    names = [f"{end}_{kind}" for kind in ("HTTP", "GRPC") for end in ("MIN", "MAX")]
    bounds = [int(told[f"RAY_SERVE_DIRECT_INGRESS_{name}_PORT"]) for name in names]
    assert bounds == [23_001, 23_050, 23_050, 23_100]
