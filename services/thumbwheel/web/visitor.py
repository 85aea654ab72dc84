"""Who uses the pages: a random id in a signed cookie. A login would replace `visitor_of` and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "thumbwheel_visitor"
_MAX_AGE_S = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser that came before, or comes for the first time (`is_new`)."""

    id: str
    is_new: bool

    @property
    def user(self) -> str:
        """The user id under which the service knows this visitor."""
        return f"web-{self.id}"


def visitor_of(request: Request, secret: bytes) -> Visitor:
    """Return the visitor whose signed cookie came with the request, else a new one."""
    known = _verified(request.cookies.get(COOKIE, ""), secret)
    return Visitor(known, is_new=False) if known else Visitor(secrets.token_urlsafe(16), is_new=True)


def remember(response: Response, visitor: Visitor, request: Request, secret: bytes) -> None:
    """Give a new visitor their cookie: unreadable to scripts, not sent along from other sites."""
    if visitor.is_new:
        response.set_cookie(
            COOKIE,
            f"{visitor.id}.{_mac(secret, 'visitor', visitor.id)}",
            max_age=_MAX_AGE_S,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )


def csrf_token(visitor: Visitor, secret: bytes) -> str:
    """Return the proof that a request was made by a page that this visitor got from us."""
    return _mac(secret, "csrf", visitor.id)


def _verified(cookie: str, secret: bytes) -> str:
    """Return the id in a cookie if we signed it, else an empty string."""
    visitor_id, _, mac = cookie.partition(".")
    return visitor_id if same(mac, _mac(secret, "visitor", visitor_id)) else ""


def same(given: str, expected: str) -> bool:
    """Compare in constant time; `given` may hold anything."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def _mac(secret: bytes, purpose: str, visitor_id: str) -> str:
    message = f"{purpose}\0{visitor_id}".encode("utf-8", "surrogatepass")
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
