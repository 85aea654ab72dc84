"""What every call goes through: correlation id, checked decoding, errors to statuses, metrics, one log line.

The log line never carries request or response content. A servicer names who answered by binding `policy` and
`policy_version` with `structlog.contextvars`; they appear in the log line and as labels of the metrics.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any, NoReturn

import grpc
import uuid_utils
from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import ServerInterceptor, ServicerContext
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from thumbwheel.errors import InvalidInput
from thumbwheel.hosts.status import CORRELATION_KEY, Refusal, code_of, refusal
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import RpcMetrics

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MALFORMED = "not a valid message of this type: text must be UTF-8, and the bytes must follow the .proto"
# Clients' mistakes are not worth a warning each.
_QUIET = frozenset({StatusCode.CANCELLED, StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND})

_Context = ServicerContext[Any, Any]
_Behavior = Callable[[Any, _Context], Awaitable[Any]]

logger = get_logger("thumbwheel.access")


class _Malformed:
    """Stands in for a request whose bytes could not be decoded."""


class CallInterceptor(ServerInterceptor):
    """Wraps the methods of the project's own services; gRPC's health and reflection pass untouched."""

    def __init__(self, services: Iterable[str], metrics: RpcMetrics) -> None:
        """Wrap the methods of `services` (full names), counting into `metrics`."""
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
            self._wrapped[method] = self._wrap(method.rsplit("/", 1)[1], handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: Any) -> Any:
        behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(
            _Call(method, behavior, self._metrics).run,
            request_deserializer=_lenient(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )


class _Call:
    """One method, as it is called."""

    def __init__(self, method: str, behavior: _Behavior, metrics: RpcMetrics) -> None:
        self._method = method
        self._behavior = behavior
        self._metrics = metrics
        # Bound once: a logger that is looked up at each call costs more than the line that is not written.
        self._logger = logger.bind(method=method)

    async def run(self, request: Any, context: _Context) -> Any:
        """Answer one call; every end of it is counted and logged."""
        correlation_id = _correlation_id(context)
        clear_contextvars()
        bind_contextvars(correlation_id=correlation_id)
        started = perf_counter()
        self._metrics.in_flight.add(1, method=self._method)
        code = StatusCode.OK
        try:
            context.set_trailing_metadata(((CORRELATION_KEY, correlation_id),))
            if isinstance(request, _Malformed):
                raise InvalidInput("", _MALFORMED)
            return await self._behavior(request, context)
        except asyncio.CancelledError:
            code = StatusCode.CANCELLED
            raise
        except Exception as error:
            code = code_of(error)
            if code is StatusCode.INTERNAL:
                logger.exception("a call failed by a defect", method=self._method)
            await _abort(context, refusal(error, correlation_id), correlation_id)
        finally:
            self._metrics.in_flight.add(-1, method=self._method)
            self._account(code, perf_counter() - started)

    def _account(self, code: StatusCode, seconds: float) -> None:
        bound = get_contextvars()
        policy, version = str(bound.get("policy", "")), str(bound.get("policy_version", ""))
        self._metrics.finished.inc(method=self._method, policy=policy, policy_version=version, code=code.name)
        self._metrics.duration.observe(seconds, method=self._method, policy_version=version)
        # A line costs as much as all the rest of a call outside of the model: what went well is told to `debug` only.
        log = self._logger
        write = log.debug if code is StatusCode.OK else log.info if code in _QUIET else log.warning
        write("call", code=code.name, duration_ms=round(seconds * 1e3, 2))


async def _abort(context: _Context, refused: Refusal, correlation_id: str) -> NoReturn:
    metadata = ((CORRELATION_KEY, correlation_id), *refused.metadata)
    await context.abort(refused.code, refused.message, metadata)
    raise AssertionError("abort returns by an exception")


def _correlation_id(context: _Context) -> str:
    """The caller's own id where it sent a sane one, else a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == CORRELATION_KEY and isinstance(value, str) and _CORRELATION_ID.fullmatch(value):
            return value
    return str(uuid_utils.uuid7())


def _lenient(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Decode, but let a malformed request through as such: gRPC would answer it with INTERNAL and an inner text."""

    def decoded(data: bytes) -> Any:
        try:
            return decode(data)
        except (DecodeError, UnicodeDecodeError):
            return _Malformed()

    return decoded
