"""What is kept beside: dead letters, keys, and what was erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the log that could not be used, kept with its place and its bytes.

    `number` is the store's, in order of arrival (0 before it is stored).
    """

    topic: str
    partition: int
    offset: int
    reason: str
    payload: bytes
    time_us: int
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key that events of a user are sealed with, itself encrypted under the service's secret."""

    key_id: str
    user_hash: str
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What retention removed. Answers of `horizon_us` and later are there; older ones will not come back, either.

    `slices` were dropped whole, nobody counted their rows; `rows` were removed one by one.
    """

    horizon_us: int
    slices: int
    rows: int


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was removed of a user, which versions had learned from it, and which runs under way end with it."""

    responses: int
    feedback: int
    versions_trained_on_it: Sequence[str]
    runs_ended: Sequence[str] = ()

    def __str__(self) -> str:
        """Return it in words, which don't say whose it was."""
        counts = ((self.responses, "answer"), (self.feedback, "vote"))
        gone = ", ".join(f"{count:,} {noun}{'s' if count != 1 else ''}" for count, noun in counts)
        return f"{gone}; versions that learned from them: {', '.join(self.versions_trained_on_it) or 'none'}"
