"""What serving needs of its neighbours, told as small protocols; the process hands the real ones in."""

from __future__ import annotations

from typing import Protocol


class FeedbackTokens(Protocol):
    """Signs the right to rate an answer."""

    def sign(
        self, response_id: str, request_id: str, rater_hash: str, policy: str, policy_version: str, now_us: int
    ) -> str:
        """Return the token of one answer to a request for one rater."""


class Pseudonyms(Protocol):
    """Turns user ids into keyed hashes."""

    def user_hash(self, user_id: str) -> str:
        """Return a user's pseudonym; empty for an anonymous one."""

    def rater(self, user_id: str, response_id: str) -> str:
        """Return who may rate an answer: the user's pseudonym, or for an anonymous one whoever holds its token."""
