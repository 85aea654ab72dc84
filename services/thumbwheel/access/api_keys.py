"""API keys: how one looks, and how a guess is held against what is kept of it.

    tw_1f0c9a77b2e4_fZ0Z...           43 characters of 256 random bits
       key id       secret

The key id is no secret: it finds the row. Of the secret scrypt (RFC 7914) is kept, with N = 2^14, r = 8, p = 1 (16 MiB
and some 40 ms a guess) and a salt of 128 bits; the parameters stand beside it, so that later keys may cost more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from thumbwheel.errors import InvalidInput, KeyRefused

_PREFIX = "tw"
_ID_BYTES = 6
_SECRET_BYTES = 32
_SALT_BYTES = 16
_N, _R, _P = 1 << 14, 8, 1
_MOST_MEMORY_BYTES = 64 << 20
_FORM = re.compile(r"tw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_HEADER = re.compile(r"(?i:bearer) +(\S+)")

NO_KEY = (
    "authorization: the call came without an API key; send it as `authorization: Bearer KEY` (clients: api_key=, "
    "command line: THUMBWHEEL_API_KEY or auth.api_key_file); who runs the service makes keys: `thumbwheel keys create`"
)
# One text for whatever is wrong, so that a guess learns nothing.
BAD_KEY = (
    "authorization: the API key is not good: unknown, mistyped, expired or revoked; see `thumbwheel keys list`, or ask "
    "who runs the service for another"
)


@dataclass(frozen=True, slots=True)
class Presented:
    """A key as a caller showed it."""

    key_id: str
    secret: str = field(repr=False)


def new_key() -> tuple[str, str, str]:
    """Make a key. Return what its holder gets, which is shown once, its id, and what is kept to verify it."""
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    return f"{_PREFIX}_{key_id}_{secret}", key_id, verifier_of(secret)


def read_name(name: str) -> str:
    """Return a key's name, which stands in audit trails and logs. Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", "must be 1 to 40 letters, digits, dots, dashes or underscores, and begin with one")
    return name


def verifier_of(secret: str) -> str:
    """Return what is kept of a secret: `scrypt$N$r$p$salt$hash`, the last two in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    parts = (_N, _R, _P, _text(salt), _text(_scrypt(secret, salt, _N, _R, _P)))
    return "$".join(("scrypt", *map(str, parts)))


def verifies(secret: str, verifier: str) -> bool:
    """Whether `secret` is what `verifier` was made of. Takes some 40 ms and 16 MiB; lets other threads work."""
    kind, n, r, p, salt, kept = verifier.split("$")
    if kind != "scrypt":
        return False
    found = _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(kept))


def presented(header: str | None) -> Presented:
    """Read the header `authorization`. Raises KeyRefused when it is missing, or holds nothing like a key."""
    if not header:
        raise KeyRefused(NO_KEY)
    given = _HEADER.fullmatch(header)
    found = _FORM.fullmatch(given[1]) if given else None
    if found is None:
        raise KeyRefused(BAD_KEY)
    return Presented(found[1], found[2])


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY_BYTES, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
