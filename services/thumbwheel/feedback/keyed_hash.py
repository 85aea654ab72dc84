"""HMAC-SHA256 (RFC 2104) under one key, many times."""

from __future__ import annotations

import hmac


class KeyedHash:
    """The hash under a key. Any thread may call.

    The key is taken in once, and each digest starts from a copy. `hmac.digest` is one call of OpenSSL that lets go of
    the interpreter for its microsecond, and then waits in line with every other thread to have it back: on a busy
    service that was sixteen microseconds.
    """

    def __init__(self, key: bytes) -> None:
        """Hash under `key`."""
        self._keyed = hmac.new(key, digestmod="sha256")

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes for `message`."""
        copy = self._keyed.copy()
        copy.update(message)
        return copy.digest()
