"""Encryption of a record's payload under a key of its user, and of that key under the service's.

AES-256-GCM (NIST SP 800-38D) with random nonces of 96 bits, which stand before the ciphertext. What a ciphertext
belongs to is authenticated with it: a payload to its topic and its record's key, a user's key to its id.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from thumbwheel.errors import PoisonRecord

KEY_HEADER = "thumbwheel-key"
_ID_BYTES = 16
_KEY_ID = re.compile(f"[0-9a-f]{{{2 * _ID_BYTES}}}")
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
OVERHEAD_BYTES = _NONCE_BYTES + _TAG_BYTES + len(KEY_HEADER) + 2 * _ID_BYTES + 10
"""What a record grows by when it is sealed, at most."""


@dataclass(frozen=True, slots=True)
class UserKey:
    """A key for events of one user. A user has several: every process makes its own. `key_id`: 32 digits.

    Nothing is sealed under it after `until_us`, microseconds since the epoch; 0 where that is not known.
    """

    key_id: str
    user_hash: str
    secret: bytes = field(repr=False)
    until_us: int = 0


def new_key(user_hash: str, until_us: int = 0) -> UserKey:
    """Make a key."""
    return UserKey(secrets.token_hex(_ID_BYTES), user_hash, secrets.token_bytes(_SECRET_BYTES), until_us)


def is_key_id(text: str) -> bool:
    """Whether it may be the id of a key: others may have written what says so."""
    return _KEY_ID.fullmatch(text) is not None


def seal(payload: bytes, key: UserKey, topic: str, record_key: str) -> bytes:
    """Return the payload of a record encrypted."""
    return _encrypt(key.secret, payload, _place(topic, record_key))


def unseal(sealed: bytes, key: UserKey, topic: str, record_key: str) -> bytes:
    """Return what `seal` was given. Raises PoisonRecord for anything else, and at another place."""
    return _decrypt(key.secret, sealed, _place(topic, record_key))


@dataclass(frozen=True, slots=True)
class Wrapping:
    """Users' keys as they are kept: encrypted under one secret of the service, 32 bytes, with whom they belong to."""

    secret: bytes = field(repr=False)

    def wrap(self, key: UserKey) -> bytes:
        """Return a key encrypted."""
        return _encrypt(self.secret, key.secret + key.user_hash.encode(), key.key_id.encode())

    def unwrap(self, key_id: str, wrapped: bytes) -> UserKey:
        """Return the key. Raises PoisonRecord when it was wrapped under another secret or id."""
        plain = _decrypt(self.secret, wrapped, key_id.encode())
        return UserKey(key_id, plain[_SECRET_BYTES:].decode(), plain[:_SECRET_BYTES])


def _place(topic: str, record_key: str) -> bytes:
    return f"{topic}\0{record_key}".encode()


def _encrypt(secret: bytes, plain: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, plain, context)


def _decrypt(secret: bytes, sealed: bytes, context: bytes) -> bytes:
    try:
        return AESGCM(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise PoisonRecord("payload", "was sealed under another key, or altered") from error
