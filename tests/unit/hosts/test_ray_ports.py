"""A port of Ray's is one server's alone."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from ray.serve._private.grpc_util import gRPCGenericServer, start_grpc_server
from ray.serve.config import gRPCOptions

from thumbwheel.hosts.ray.workers import demand_own_ports


@pytest.fixture
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gRPCGenericServer, "__init__", gRPCGenericServer.__init__)


@pytest.mark.usefixtures("_kept")
async def test_a_second_server_does_not_get_a_part_of_anothers_calls() -> None:
    demand_own_ports()
    first = gRPCGenericServer(Mock(), extra_options=[("grpc.so_reuseport", "0")])
    port = first.add_insecure_port("[::]:0")
    await first.start()  # else stopping it leaves the port bound
    try:
        with pytest.raises(RuntimeError, match="in use|bind"):
            await start_grpc_server(Mock(), gRPCOptions(port=port), event_loop=asyncio.get_running_loop())
    finally:
        await first.stop(None)
