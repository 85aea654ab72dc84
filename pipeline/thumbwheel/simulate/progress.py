"""What the demonstration and the simulator tell while they work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Show(Protocol):
    """Shows how far the work is, to a person."""

    def counter(self, what: str, total: int) -> Callable[[], None]:
        """Begin a count to `total`; the returned function advances it by one."""

    def learning(self, policy: str, stage: str, share: float) -> None:
        """Show the stage of a policy's run and the share of it that is done, in [0, 1]."""

    def learned(self, policy: str, sentence: str) -> None:
        """Say how a policy's run ended."""
