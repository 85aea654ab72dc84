"""From the error tree to gRPC: the one place where an error becomes a status.

The status carries google.rpc details (ErrorInfo always, BadRequest for a wrong field, RetryInfo with a retry hint) in
`grpc-status-details-bin`, and the hint once more as `grpc-retry-pushback-ms`, which gRPC's own retries obey.
An error outside of the tree is a defect: the caller learns a correlation id, and nothing of its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from thumbwheel.errors import (
    AlreadyExists,
    Conflict,
    DamagedArtifact,
    DeadlineMissed,
    InvalidInput,
    KeyRefused,
    NotFound,
    Overloaded,
    ScopeMissing,
    ThumbwheelError,
    TokenMissing,
    TokenRefused,
    Unavailable,
)

DOMAIN = "thumbwheel"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
CORRELATION_KEY = "x-correlation-id"

CODES: dict[type[ThumbwheelError], StatusCode] = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    TokenMissing: StatusCode.UNAUTHENTICATED,
    TokenRefused: StatusCode.PERMISSION_DENIED,
    KeyRefused: StatusCode.UNAUTHENTICATED,
    ScopeMissing: StatusCode.PERMISSION_DENIED,
    AlreadyExists: StatusCode.ALREADY_EXISTS,
    Conflict: StatusCode.FAILED_PRECONDITION,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: StatusCode.UNAVAILABLE,
    DeadlineMissed: StatusCode.DEADLINE_EXCEEDED,
    DamagedArtifact: StatusCode.DATA_LOSS,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the caller gets instead of an answer."""

    code: StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


def code_of(error: BaseException) -> StatusCode:
    """Return the status code of an error; INTERNAL for one outside of the tree."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return StatusCode.INTERNAL


def refusal(error: BaseException, correlation_id: str) -> Refusal:
    """Return the status for an error, with its details."""
    code = code_of(error)
    if not isinstance(error, ThumbwheelError) or code is StatusCode.INTERNAL:
        message = f"internal error; tell the operator this correlation id: {correlation_id}"
        return _refusal(StatusCode.INTERNAL, message, [_info("INTERNAL", correlation_id)], ())
    details: list[Message] = [_info(_reason(error), correlation_id)]
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(error, InvalidInput):
        violation = BadRequest.FieldViolation(field=error.field, description=error.problem)
        details.append(BadRequest(field_violations=[violation]))
    if isinstance(error, Overloaded | Unavailable):
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(_milliseconds(error.retry_after_s))
        details.append(retry)
        metadata = ((PUSHBACK_KEY, str(_milliseconds(error.retry_after_s))),)
    return _refusal(code, str(error), details, metadata)


def _refusal(
    code: StatusCode, message: str, details: Sequence[Message], metadata: tuple[tuple[str, str], ...]
) -> Refusal:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return Refusal(code, message, ((DETAILS_KEY, status.SerializeToString()), *metadata))


def _info(reason: str, correlation_id: str) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain=DOMAIN, metadata={"correlation_id": correlation_id})


def _reason(error: ThumbwheelError) -> str:
    """The error's class in the form google.rpc asks for: `InvalidInput` -> `INVALID_INPUT`."""
    name = type(error).__name__
    return "".join(f"_{char}" if char.isupper() and index else char for index, char in enumerate(name)).upper()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1e3))
