"""How the tokens of an answer are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    STOP_STRING = "stop_string"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters of one request, already checked. `top_k` = 0 and `top_p` = 1 leave the distribution whole."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 64
    stop: tuple[str, ...] = ()
    greedy: bool = False
    # Whether the caller chose the length; a default shrinks to what the version can do, a choice is refused.
    asked_length: bool = False

    @property
    def truncates(self) -> bool:
        """Whether some tokens have no chance."""
        return self.greedy or self.top_p < 1.0 or self.top_k > 0

    def not_learnable(self, finish: Finish) -> str:
        """Return why PPO must not use an answer drawn so; empty when it may."""
        if self.greedy:
            return "greedy"
        if self.top_p < 1.0:
            return "top_p"
        if self.top_k > 0:
            return "top_k"
        return "stop_string" if finish is Finish.STOP_STRING else ""
