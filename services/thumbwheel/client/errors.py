"""From a gRPC status back to the error tree of `thumbwheel.errors`.

The status code chooses the branch. Details of the status (google.rpc) say more, where the service sent them:
`ErrorInfo.reason` the class, `BadRequest` the field, `RetryInfo` the seconds to wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from thumbwheel import errors

_DETAILS = "grpc-status-details-bin"
_PUSHBACK = "grpc-retry-pushback-ms"
_DEFAULT_RETRY_S = 1.0

# How gRPC itself, at the service's end, refuses a request: before any of our code sees it, hence without a reason.
_REQUEST_TOO_LARGE = re.compile(r"(?:SERVER: )?Received message larger than max \((\d+) vs\. (\d+)\)")
# How gRPC, at our end, tells that nothing has the port; any other cause of its is told in its own words.
_CONNECTION_REFUSED = re.compile(r"\bipv[46]:(\S+): Failed to connect to remote host: Connection refused$")

# How gRPC, at our end, tells what broke a handshake; every cure is the caller's, so that waiting mends nothing.
_UNKNOWN_AUTHORITY = (
    "its certificate is of an authority that is not known here; give the file of that authority (--tls-ca, tls.ca_file)"
)
_HANDSHAKES = (
    (
        "Hostname Verification Check failed",
        "its certificate is for another name than the address; call it by the name that it is for, or say that "
        "(tls.server_name)",
    ),
    ("certificate has expired", "its certificate, or the authority that signed it, has expired; have it renewed"),
    ("certificate is not yet valid", "its certificate is not valid yet; see that this machine's clock is right"),
    ("CERTIFICATE_VERIFY_FAILED", _UNKNOWN_AUTHORITY),
    ("certificate signature failure", _UNKNOWN_AUTHORITY),  # it has the name of one that is known
    (
        "WRONG_VERSION_NUMBER",
        "it does not speak TLS there; see that the address is right, or leave TLS out (tls.connect)",
    ),
)
# What is left of a connection that the other end closed before anything was said.
_CLOSED = re.compile(r"\bipv[46]:\S+: Socket closed$")
_CLOSED_CAUSE = (
    "it closed the connection; it is ending, or it takes callers by TLS alone (--tls-ca, tls.ca_file), or with a "
    "certificate alone (tls.client_certificate_file)"
)

_Maker = Callable[[str, "Failure"], errors.ThumbwheelError]


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call told. `retry_after_s` is None when the service gave no hint."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    field: str = ""
    retry_after_s: float | None = None

    def to_error(self) -> errors.ThumbwheelError:
        """Return the error of the tree that fits."""
        return _MAKERS.get(self.code, _unknown)(self.message or self.code.name, self)


def read_failure(error: grpc.RpcError) -> Failure:
    """Read code, message and details of a failed call, blocking or asyncio."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return Failure(grpc.StatusCode.UNKNOWN, "the call failed without a status")
    metadata = {key: value for key, value in error.trailing_metadata() or ()}
    reason, field, retry_after_s = _read_details(metadata.get(_DETAILS, b""))
    if retry_after_s is None and str(metadata.get(_PUSHBACK, "")).isdecimal():
        retry_after_s = int(metadata[_PUSHBACK]) / 1000
    code = error.code()
    if code is grpc.StatusCode.CANCELLED and not (isinstance(error, grpc.Future) and error.cancelled()):
        # Not by us: a server that stops cancels calls that it had not taken up, or that outlasted its drain.
        return Failure(grpc.StatusCode.UNAVAILABLE, "it stopped while the call was under way", "", "", retry_after_s)
    return Failure(code, error.details() or "", reason, field, retry_after_s)


def of_handshake(message: str) -> str:
    """Return in words why a handshake failed, with the cure; empty when it was not for one that broke at our end."""
    return next((words for sign, words in _HANDSHAKES if sign in message), "")


def client_closed() -> errors.Conflict:
    """Return the error of a call through a client that was closed."""
    return errors.Conflict("the client was closed; make a new one")


def stream_closed() -> errors.Conflict:
    """Return the error of reading on in a stream that was closed, by itself or with its client."""
    return errors.Conflict("the stream or its client was closed; ask again")


def _read_details(packed: str | bytes) -> tuple[str, str, float | None]:
    reason, field, retry_after_s = "", "", None
    for detail in _details(packed):
        match detail:
            case error_details_pb2.ErrorInfo():
                reason = detail.reason
            case error_details_pb2.BadRequest():
                field = detail.field_violations[0].field if detail.field_violations else ""
            case error_details_pb2.RetryInfo():
                retry_after_s = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
    return reason, field, retry_after_s


def _details(packed: str | bytes) -> Iterator[object]:
    if not isinstance(packed, bytes):
        return
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    try:
        status = status_pb2.Status.FromString(packed)
        for any_detail in status.details:
            for kind in kinds:
                detail = kind()
                if any_detail.Unpack(detail):
                    yield detail
    except DecodeError:
        return


def _unknown(message: str, failure: Failure) -> errors.ThumbwheelError:
    return errors.ThumbwheelError(f"{failure.code.name}: {message}")


def _invalid(message: str, failure: Failure) -> errors.ThumbwheelError:
    prefix = f"{failure.field}: "
    if failure.field and message.startswith(prefix):
        return errors.InvalidInput(failure.field, message.removeprefix(prefix))
    return errors.InvalidInput("", message)


def _retryable(kind: type[errors.Unavailable] | type[errors.Overloaded]) -> _Maker:
    def make(message: str, failure: Failure) -> errors.ThumbwheelError:
        chosen = errors.LogUnavailable if _is(failure, errors.LogUnavailable) and kind is errors.Unavailable else kind
        hint = failure.retry_after_s
        return chosen(message, _DEFAULT_RETRY_S if hint is None else hint)

    return make


def _exhausted(message: str, failure: Failure) -> errors.ThumbwheelError:
    sizes = None if failure.reason else _REQUEST_TOO_LARGE.match(message)
    if sizes is None:
        return _retryable(errors.Overloaded)(message, failure)
    size_bytes, limit_bytes = map(int, sizes.groups())
    return errors.InvalidInput(
        "", f"the request has {size_bytes:,} bytes, at most {limit_bytes:,} (serve.max_message_bytes): shorten it"
    )


def _unavailable(message: str, failure: Failure) -> errors.ThumbwheelError:
    if failure.reason:
        return _retryable(errors.Unavailable)(message, failure)
    # Our services give every refusal a reason; without one it is the transport that speaks.
    refused = _CONNECTION_REFUSED.search(message)
    cause = f"nothing listens at {unquote(refused[1])}" if refused else _closed(message) or message
    return errors.Unreachable(f"the service can't be reached: {cause}", failure.retry_after_s or _DEFAULT_RETRY_S)


def _closed(message: str) -> str:
    return of_handshake(message) or (_CLOSED_CAUSE if _CLOSED.search(message) else "")


def _of(base: type[errors.ThumbwheelError], *narrower: type[errors.ThumbwheelError]) -> _Maker:
    def make(message: str, failure: Failure) -> errors.ThumbwheelError:
        return next((kind for kind in narrower if _is(failure, kind)), base)(message)

    return make


def _is(failure: Failure, kind: type[errors.ThumbwheelError]) -> bool:
    """Compare the reason with a class name, whether written LikeThis or LIKE_THIS."""
    return failure.reason.replace("_", "").lower() == kind.__name__.lower()


_MAKERS: dict[grpc.StatusCode, _Maker] = {
    grpc.StatusCode.INVALID_ARGUMENT: _invalid,
    grpc.StatusCode.NOT_FOUND: _of(
        errors.NotFound, errors.UnknownPolicy, errors.UnknownVersion, errors.UnknownRun, errors.NothingToRetract
    ),
    grpc.StatusCode.UNAUTHENTICATED: _of(errors.TokenMissing, errors.KeyRefused),
    grpc.StatusCode.PERMISSION_DENIED: _of(errors.TokenRefused, errors.ScopeMissing),
    grpc.StatusCode.ALREADY_EXISTS: _of(errors.AlreadyExists),
    grpc.StatusCode.FAILED_PRECONDITION: _of(
        errors.Conflict,
        errors.HomeInUse,
        errors.SchemaMismatch,
        errors.RunInProgress,
        errors.Fenced,
        errors.Unlearnable,
        errors.NotEnoughData,
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: _exhausted,
    grpc.StatusCode.UNAVAILABLE: _unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: _of(errors.DeadlineMissed),
    grpc.StatusCode.DATA_LOSS: _of(errors.DamagedArtifact),
}
