"""What each replica runs: the methods that Ray calls by name, and behind them the registrations of any host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import ray.serve
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from thumbwheel.errors import Unavailable
from thumbwheel.hosts.calls import Behavior, Call
from thumbwheel.hosts.local import Registration
from thumbwheel.hosts.ray import calls
from thumbwheel.hosts.ray.services import Collected
from thumbwheel.telemetry.metrics import RpcMetrics


@dataclass(frozen=True, slots=True)
class ReplicaParts:
    """What a replica is made of. `may_serve` says whether it still may; its own health says of what."""

    registrations: Sequence[Registration]
    health: health_aio.HealthServicer
    metrics: RpcMetrics
    may_serve: Callable[[], bool]


OpenReplica = Callable[[str], AbstractAsyncContextManager[ReplicaParts]]
"""Opens a replica, given its name."""


class Ingress:
    """The deployment. Each method stands for one of `services.PUBLIC`."""

    async def __init__(self, open_replica: OpenReplica) -> None:  # type: ignore[misc]
        """Open the replica; Ray sends no call before this has returned."""
        self._stack = AsyncExitStack()
        name = ray.serve.get_replica_context().replica_id.unique_id
        self._parts = await self._stack.enter_async_context(open_replica(name))
        self._behaviors = _behaviors(self._parts)

    async def __del__(self) -> None:
        """Close the replica: Ray calls this once, after its requests have ended."""
        if hasattr(self, "_parts"):
            await self._stack.aclose()

    def check_health(self) -> None:
        """Let Ray replace a replica that may not serve any more. Raises Unavailable."""
        if not self._parts.may_serve():
            raise Unavailable("the lease on what the registry says has lapsed", 1.0)

    async def Generate(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["Generate"], request, grpc_context)

    async def StreamGenerate(self, request: Any, grpc_context: Any) -> AsyncIterator[Message]:
        """Answer a call by messages."""
        async for message in calls.stream(self._behaviors["StreamGenerate"], request, grpc_context):
            yield message

    async def Classify(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["Classify"], request, grpc_context)

    async def Tag(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["Tag"], request, grpc_context)

    async def DescribePolicy(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["DescribePolicy"], request, grpc_context)

    async def SubmitFeedback(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["SubmitFeedback"], request, grpc_context)

    async def RetractFeedback(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["RetractFeedback"], request, grpc_context)

    async def Check(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["Check"], request, grpc_context)

    async def List(self, request: Any, grpc_context: Any) -> Message:
        """Answer a call."""
        return await calls.answer(self._behaviors["List"], request, grpc_context)

    async def Watch(self, request: Any, grpc_context: Any) -> AsyncIterator[Message]:
        """Answer a call by messages."""
        async for message in calls.stream(self._behaviors["Watch"], request, grpc_context):
            yield message


def _behaviors(parts: ReplicaParts) -> Mapping[str, Behavior]:
    """Return what answers each method; as on one host, gRPC's own health is not counted among the calls."""
    collected, plain = Collected(), Collected()
    for one in parts.registrations:
        one.add(collected)  # type: ignore[arg-type]
    health_pb2_grpc.add_HealthServicer_to_server(parts.health, plain)
    counted = {
        method: Call(method, _behavior(found), parts.metrics).run for method, found in collected.handlers.items()
    }
    return {**counted, **{method: _behavior(found) for method, found in plain.handlers.items()}}


def _behavior(handler: Any) -> Behavior:
    behavior: Behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary
    return behavior
