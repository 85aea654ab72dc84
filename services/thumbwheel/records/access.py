"""API keys, and what they are good for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """What a key is good for: asking policies, giving votes, or operating the service."""

    INFER = "infer"
    FEEDBACK = "feedback"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the store keeps it: of its secret part only what a guess can be held against.

    `key_id` is the part that is no secret, by which it is found. Times are microseconds since the Unix epoch; 0 for
    `expires_us`: never, `revoked_us`: it is not, `last_used_us`: not yet.
    """

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    verifier: str = field(repr=False)
    created_us: int
    created_by: str
    expires_us: int = 0
    revoked_us: int = 0
    last_used_us: int = 0

    def is_good(self, now_us: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return not self.revoked_us and (not self.expires_us or now_us < self.expires_us)
