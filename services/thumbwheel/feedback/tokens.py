"""Feedback tokens: only who received an answer can rate it, checked without a database.

A token is base64url, without padding, of

    format (1 byte) | key id (4) | expiry, seconds (8) | request (8) | policy | policy version | MAC (16)

where the two names are a length byte and UTF-8, and the request is the start of the SHA-256 of its id: the candidates
of one request have it in common, and no others, so a ranking can be held to one request. The MAC is HMAC-SHA256
(RFC 2104, the first 128 bits) over all before it and, with their lengths, the answer's id and its rater, which are not
in the token: they come with the feedback, so a token tells nobody who asked.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from thumbwheel.errors import InvalidInput, TokenMissing, TokenRefused
from thumbwheel.feedback.keyed_hash import KeyedHash
from thumbwheel.feedback.keys import Keys

_DOMAIN = b"thumbwheel feedback token\0"
_FORMAT = 2
_HEADER = struct.Struct(">B4sQ8s")
_MAC_BYTES = 16
_MAX_NAME_BYTES = 255
_MAX_TOKEN_CHARS = 800

_REFUSED = "feedback_token: does not belong to this answer and user; send the token that came with the answer itself"
_EXPIRED = "feedback_token: expired; the time for rating this answer is over"
_MISSING = "feedback_token: is missing; send the token that came with the answer"


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says: which version made the answer, for which request, and until when it can be rated.

    `request` is 16 hexadecimal digits, the same for all candidates of a request.
    """

    policy: str
    policy_version: str
    expires_us: int
    key_id: str
    request: str


class TokenSigner:
    """Makes and verifies tokens. Holds no state but its keys; safe from any thread."""

    def __init__(self, keys: Keys, ttl_s: float) -> None:
        """Sign with the active key of `keys`; tokens hold for `ttl_s` seconds."""
        self._active = bytes.fromhex(keys.active.key_id)
        self._hashes: Mapping[bytes, KeyedHash] = {
            bytes.fromhex(key.key_id): KeyedHash(key.secret) for key in keys.token_keys
        }
        self._ttl_s = ttl_s

    def sign(
        self, response_id: str, request_id: str, rater_hash: str, policy: str, policy_version: str, now_us: int
    ) -> str:
        """Return the token with which `rater_hash` can rate an answer to a request until `ttl_s` after `now_us`.

        Raises InvalidInput for a name of more than 255 bytes.
        """
        expiry_s = int(now_us / 1e6 + self._ttl_s)
        header = _HEADER.pack(_FORMAT, self._active, expiry_s, _request(request_id))
        body = header + _named("policy", policy) + _named("policy_version", policy_version)
        mac = _mac(self._hashes[self._active], body, response_id, rater_hash)
        return base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()

    def verify(self, token: str, response_id: str, rater_hash: str, now_us: int) -> TokenClaims:
        """Return what the token claims, if it was made here for this answer and rater and has not expired.

        Raises:
            TokenMissing: `token` is empty.
            TokenRefused: forged, foreign or expired; only a genuine token is told that it expired.
        """
        if not token:
            raise TokenMissing(_MISSING)
        body, mac = _split(token)
        _, key_id, expiry_s, request = _HEADER.unpack_from(body)
        keyed = self._hashes.get(key_id)
        if keyed is None or not hmac.compare_digest(mac, _mac(keyed, body, response_id, rater_hash)):
            raise TokenRefused(_REFUSED)
        if expiry_s * 1_000_000 <= now_us:
            raise TokenRefused(_EXPIRED)
        policy, rest = _take_name(body[_HEADER.size :])
        version, _ = _take_name(rest)
        return TokenClaims(policy, version, expiry_s * 1_000_000, key_id.hex(), request.hex())


def _split(token: str) -> tuple[bytes, bytes]:
    """Return body and MAC of a token in its one canonical spelling. Raises TokenRefused."""
    if len(token) > _MAX_TOKEN_CHARS:
        raise TokenRefused(_REFUSED)
    try:
        spelled = token.encode("ascii")
        data = base64.b64decode(spelled + b"=" * (-len(spelled) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise TokenRefused(_REFUSED) from error
    canonical = base64.urlsafe_b64encode(data).rstrip(b"=") == spelled
    if not canonical or len(data) < _HEADER.size + 2 + _MAC_BYTES or data[0] != _FORMAT:
        raise TokenRefused(_REFUSED)
    return data[:-_MAC_BYTES], data[-_MAC_BYTES:]


def _mac(keyed: KeyedHash, body: bytes, response_id: str, rater_hash: str) -> bytes:
    message = _DOMAIN + b"".join(_sized(part) for part in (body, response_id.encode(), rater_hash.encode()))
    return keyed.digest(message)[:_MAC_BYTES]


def _request(request_id: str) -> bytes:
    return sha256(request_id.encode()).digest()[:8]


def _sized(part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + part


def _named(field: str, name: str) -> bytes:
    data = name.encode()
    if len(data) > _MAX_NAME_BYTES:
        raise InvalidInput(field, f"at most {_MAX_NAME_BYTES} bytes, got {len(data)}; choose a shorter name")
    return bytes((len(data),)) + data


def _take_name(data: bytes) -> tuple[str, bytes]:
    end = 1 + data[0]
    return data[1:end].decode(), data[end:]
