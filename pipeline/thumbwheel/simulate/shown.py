"""What a simulated user has before it when it decides on a vote, and who such users are."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer, as one user sees it.

    `quality` is the true one, in [0, 1]; `answer` the label, the tags with blanks, or the reply; `passed` the share of
    the crowd's questions that came before, in [0, 1); `turn` how many answers this user was shown before.
    """

    quality: float
    answer: str = ""
    text: str = ""
    version: str = ""
    passed: float = 0.0
    turn: int = 0


class Rater(Protocol):
    """A simulated user. However it decides, it draws as often from the random numbers, so that others' stay."""

    @property
    def user_id(self) -> str:
        """Who it is; empty: anonymous."""

    def vote(self, shown: Shown, rng: Random) -> bool | None:
        """Return up (True) or down (False), or None: does not rate this one."""
