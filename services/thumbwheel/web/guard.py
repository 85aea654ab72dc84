"""Who may post what: host name, same origin, CSRF token, size, form of the body; and who may operate."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbwheel.web.deps import LOOPBACK_NAMES, Deps
from thumbwheel.web.fields import Fields
from thumbwheel.web.problems import on_http_error
from thumbwheel.web.visitor import Visitor, csrf_token, same, visitor_of

CSRF_HEADER = "X-CSRF-Token"
# Probes come by address, from machines that know no name; what they read is not private to a visitor.
_ANY_HOST_PATHS = frozenset({"/healthz", "/metrics"})
_THROWN_AWAY_BYTES = 4 << 20
_FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


class KnownHosts:
    """Middleware: answers only to the names the operator knows, so that no foreign name can be pointed here."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 421."""
        request = Request(scope, receive)
        if "*" in self._allowed or scope["path"] in _ANY_HOST_PATHS or host_name(request) in self._allowed:
            await self._app(scope, receive, send)
            return
        problem = HTTPException(421, "This host name is not one of ours; add it to the allowed hosts.")
        await on_http_error(request, problem)(scope, receive, send)


def host_name(request: Request) -> str:
    """Return the host the request was sent to, without port, lower case; IPv6 in brackets."""
    host = request.headers.get("host", "").lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


async def posted(request: Request, deps: Deps) -> tuple[Visitor, Fields]:
    """Return who posted and the fields of the JSON body.

    Raises HTTPException: 403 other origin, no cookie or wrong CSRF token; 415 not JSON; 413 too large;
    408 too slow; 400 not a JSON object.
    """
    _demand_same_origin(request)
    visitor = visitor_of(request, deps.secret)
    if not same(request.headers.get(CSRF_HEADER, ""), csrf_token(visitor, deps.secret)):
        raise HTTPException(403, "This page is out of date, or cookies are off. Reload it and try again.")
    return visitor, Fields(_parse(await _read(request, deps)))


def demand_operator(request: Request, deps: Deps) -> None:
    """Raise 403 unless the request comes from this machine, or operating from elsewhere is allowed."""
    if not (deps.operate_remotely or is_local(request)):
        raise HTTPException(
            403, "The operator's page answers on this machine only. Open it there, or by an SSH tunnel."
        )


def is_local(request: Request) -> bool:
    """Whether peer and host name are loopback ones, and no proxy stands between."""
    forwarded = any(name in request.headers for name in _FORWARDING_HEADERS)
    return not forwarded and host_name(request) in LOOPBACK_NAMES and _is_loopback(request)


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _demand_same_origin(request: Request) -> None:
    """Refuse what another site's page sent. Programs that are no browser send neither header."""
    origin = request.headers.get("origin")
    foreign = origin is not None and origin.lower().partition("://")[2] != request.headers.get("host", "").lower()
    if foreign or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "This request came from another site.")


async def _read(request: Request, deps: Deps) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send JSON, with the header Content-Type: application/json.")
    try:
        async with asyncio.timeout(deps.body_timeout_s):
            return await read_bounded(request, deps.max_body_bytes)
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {deps.body_timeout_s:g} seconds.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The body ended early.") from None


async def read_bounded(request: Request, limit: int) -> bytes:
    """Return the body of at most `limit` bytes. Raises HTTPException 413.

    What is moderately too large is read to its end and thrown away: a sender that is cut off while it still sends
    sees a broken connection, not the reason.
    """
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit + _THROWN_AWAY_BYTES:
            break
        if size <= limit:
            body += chunk
    if size > limit:
        raise HTTPException(413, f"The body may have {limit:,} bytes at most.", {"Connection": "close"})
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The body is not valid JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
