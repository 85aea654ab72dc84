"""API keys at the pages: the same keys, asked for in the same way, as at the gRPC doors.

A program sends `Authorization: Bearer KEY`. A browser asks its user for a name and a password: the password is the key,
the name is not looked at (`Authorization: Basic`). What is asked and voted takes the scopes `infer` and `feedback`,
the operator's pages and the numbers for operators take `admin`.
"""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbwheel.access.caller import enter
from thumbwheel.access.guard import Guard
from thumbwheel.errors import KeyRefused, ThumbwheelError
from thumbwheel.records import Scope as KeyScope
from thumbwheel.web.problems import on_service_error

# For load balancers, which have no key, and the same for everybody: neither holds a secret.
_FREE = ("/healthz", "/static")
_OPERATORS = ("/operate", "/metrics")
_CHALLENGE = 'Basic realm="thumbwheel: the password is your API key", charset="UTF-8"'


class KeyDemanded:
    """Middleware: lets in who brings an API key that is good for what is asked."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 403, 429 or 503."""
        if scope["type"] != "http" or _below(scope["path"], _FREE):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            header = bearer(request.headers.get("authorization"))
            enter(await self._guard.admit(header, *scopes_of(scope["path"])))
        except ThumbwheelError as error:
            response = on_service_error(request, error)
            if isinstance(error, KeyRefused):
                response.headers["WWW-Authenticate"] = _CHALLENGE
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def scopes_of(path: str) -> tuple[KeyScope, ...]:
    """Return what a key has to be good for to get what is at a path."""
    if _below(path, _OPERATORS):
        return (KeyScope.ADMIN,)
    return (KeyScope.INFER, KeyScope.FEEDBACK)


def _below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in places)


def bearer(header: str | None) -> str | None:
    """Return the header as a program sends it; of a browser's, the password is the key."""
    if header is None or header[:6].lower() != "basic ":
        return header
    try:
        _, _, password = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return header
    return f"Bearer {password}"
