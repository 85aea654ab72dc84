"""The calls of a `grpc.aio` server, led through `calls.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from grpc.aio import ServerInterceptor

from thumbwheel.hosts.calls import Call, Entry, lenient
from thumbwheel.telemetry.metrics import RpcMetrics


class CallInterceptor(ServerInterceptor):
    """Wraps the methods of the project's own services; gRPC's health and reflection pass untouched."""

    def __init__(self, services: Mapping[str, Entry | None], metrics: RpcMetrics) -> None:
        """Wrap the methods of `services`, full names with what calls have to bring, counting into `metrics`."""
        self._entries = dict(services)
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._metrics = metrics
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any] | None] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, wrapped once and for all calls."""
        method = handler_call_details.method
        if not method.startswith(self._prefixes):
            return await continuation(handler_call_details)
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._wrapped[method] = self._wrap(method, handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: Any) -> Any:
        _, service, name = method.split("/", 2)
        behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(
            Call(name, behavior, self._metrics, self._entries[service]).run,
            request_deserializer=lenient(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )
