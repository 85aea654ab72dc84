"""What every call goes through, whatever carries it: correlation id, errors to statuses, metrics, one log line.

The log line never carries request or response content. A servicer names who answered by binding `policy` and
`policy_version` with `structlog.contextvars`; they appear in the log line and as labels of the metrics.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

import uuid_utils
from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import ServicerContext
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from thumbwheel.access.caller import Caller, enter
from thumbwheel.access.guard import Guard
from thumbwheel.errors import InvalidInput
from thumbwheel.hosts.status import CORRELATION_KEY, Refusal, code_of, refusal
from thumbwheel.records import Scope
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import RpcMetrics

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MALFORMED = "not a valid message of this type: text must be UTF-8, and the bytes must follow the .proto"
# Clients' mistakes are not worth a warning each.
_QUIET = frozenset(
    {StatusCode.CANCELLED, StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.UNAUTHENTICATED}
)
_AUTHORIZATION = "authorization"

CallContext = ServicerContext[Any, Any]
Behavior = Callable[[Any, CallContext], Awaitable[Any]]

logger = get_logger("thumbwheel.access")


class Malformed:
    """Stands in for a request whose bytes could not be decoded."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a call has to bring: an API key that is good for `scope`, as `guard` sees it."""

    guard: Guard
    scope: Scope

    async def admit(self, context: CallContext) -> Caller:
        """Return who calls. Raises KeyRefused, ScopeMissing, Overloaded, Unavailable."""
        sent = (value for key, value in context.invocation_metadata() or () if key == _AUTHORIZATION)
        header = next(sent, None)
        return await self.guard.admit(header if isinstance(header, str) else None, self.scope)


class Call:
    """One method, as it is called. Both `run` and what it calls may be given any context that acts like gRPC's."""

    def __init__(self, method: str, behavior: Behavior, metrics: RpcMetrics, entry: Entry | None = None) -> None:
        """Answer calls of `method`, its bare name, with `behavior`, counting into `metrics`.

        Without `entry` whoever calls is answered.
        """
        self._entry = entry
        self._method = method
        self._behavior = behavior
        self._metrics = metrics
        # Bound once: a logger that is looked up at each call costs more than the line that is not written.
        self._logger = logger.bind(method=method)

    async def run(self, request: Any, context: CallContext) -> Any:
        """Answer one call; every end of it is counted and logged."""
        correlation_id = _correlation_id(context)
        clear_contextvars()
        bind_contextvars(correlation_id=correlation_id)
        started = perf_counter()
        self._metrics.in_flight.add(1, method=self._method)
        code = StatusCode.OK
        try:
            context.set_trailing_metadata(((CORRELATION_KEY, correlation_id),))
            if self._entry is not None:
                enter(caller := await self._entry.admit(context))
                bind_contextvars(key=caller.name)
            if isinstance(request, Malformed):
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


async def _abort(context: CallContext, refused: Refusal, correlation_id: str) -> NoReturn:
    metadata = ((CORRELATION_KEY, correlation_id), *refused.metadata)
    await context.abort(refused.code, refused.message, metadata)
    raise AssertionError("abort returns by an exception")


def _correlation_id(context: CallContext) -> str:
    """The caller's own id where it sent a sane one, else a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == CORRELATION_KEY and isinstance(value, str) and _CORRELATION_ID.fullmatch(value):
            return value
    return str(uuid_utils.uuid7())


def lenient(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Decode, but let a malformed request through as such: gRPC would answer it with INTERNAL and an inner text."""

    def decoded(data: bytes) -> Any:
        try:
            return decode(data)
        except (DecodeError, UnicodeDecodeError):
            return Malformed()

    return decoded
