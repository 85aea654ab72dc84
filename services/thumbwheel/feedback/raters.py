"""From user ids to pseudonyms. The service keeps the keyed hash of an id, never the id."""

from __future__ import annotations

from thumbwheel.feedback.keyed_hash import KeyedHash
from thumbwheel.records import ANONYMOUS_RATER

_BYTES = 16
_USER = b"thumbwheel user\0"
_HOLDER = b"thumbwheel holder\0"


class Raters:
    """Pseudonyms under one secret key: HMAC-SHA256, the first 128 bits, in hexadecimal."""

    def __init__(self, user_key: bytes) -> None:
        """Name raters under `user_key`."""
        self._hash = KeyedHash(user_key)

    def user_hash(self, user_id: str) -> str:
        """Return the pseudonym of a user, `u` and 32 digits; empty for an anonymous one (empty `user_id`)."""
        return "u" + self._digest(_USER, user_id) if user_id else ""

    def rater(self, user_id: str, response_id: str) -> str:
        """Return who may rate an answer: the user who asked, or, if anonymous, whoever holds its token.

        An anonymous rater is bound to the one answer: `a` and 32 digits.
        """
        return self.user_hash(user_id) or ANONYMOUS_RATER + self._digest(_HOLDER, response_id)

    def _digest(self, domain: bytes, text: str) -> str:
        return self._hash.digest(domain + text.encode())[:_BYTES].hex()
