"""Errors to HTTP: one table, one shape.

Scripts get `{"error": {"message", "field", "retry_after_s", "correlation_id"}}`, people a small page.
"""

from __future__ import annotations

import logging
import math
import secrets
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

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
from thumbwheel.web.headers import SECURITY_HEADERS
from thumbwheel.web.pages import NO_STORE, render

_log = logging.getLogger(__name__)

STATUS_OF: dict[type[ThumbwheelError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    TokenMissing: 401,
    TokenRefused: 403,
    KeyRefused: 401,
    ScopeMissing: 403,
    AlreadyExists: 409,
    Conflict: 409,
    Overloaded: 429,
    Unavailable: 503,
    DeadlineMissed: 504,
    # Only an order to serve a version meets a damaged one, and is refused: nothing moved, and the caller can act.
    DamagedArtifact: 409,
}
_MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}


def status_of(error: ThumbwheelError) -> int:
    """Return the HTTP status of an error: that of the nearest class in the table."""
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def body_of(error: ThumbwheelError) -> dict[str, Any]:
    """Return the JSON body for an error."""
    body: dict[str, Any] = {"message": str(error)}
    if isinstance(error, InvalidInput):
        body["field"] = error.field
    if isinstance(error, Overloaded | Unavailable):
        body["retry_after_s"] = error.retry_after_s
    return {"error": body}


def on_service_error(request: Request, error: Exception) -> Response:
    """Answer an error of the tree."""
    assert isinstance(error, ThumbwheelError)
    body = body_of(error)
    retry_after_s = body["error"].get("retry_after_s")
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    return _answer(request, status_of(error), body, headers)


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the web layer itself refuses."""
    assert isinstance(error, HTTPException)
    default = HTTPException(error.status_code).detail
    message = _MESSAGES.get(error.status_code, error.detail) if error.detail == default else error.detail
    return _answer(request, error.status_code, {"error": {"message": message}}, dict(error.headers or {}))


def on_defect(request: Request, error: Exception) -> Response:
    """Answer a defect: with an id to find it by in the log, never with its text."""
    correlation_id = secrets.token_hex(8)
    _log.error("defect in %s %s, correlation id %s", request.method, request.url.path, correlation_id, exc_info=error)
    message = f"Something broke on our side. If you report it, give the id {correlation_id}."
    body = {"error": {"message": message, "correlation_id": correlation_id}}
    # This answer is made outside of all middleware, so it brings its own headers.
    return _answer(request, 500, body, dict(SECURITY_HEADERS))


def _answer(request: Request, status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    headers = {**NO_STORE, **headers}
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return render("problem.html", {"status": status, **body["error"]}, status=status, headers=headers)
    return JSONResponse(body, status, headers)
