"""A planted policy as a record: how it is made, and where it should be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Ground_contra = TypeVar("Ground_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Plant(Generic[Ground_contra]):
    """A policy that is made on purpose, from a ground (what it grows on) into a folder.

    `gates` are those of which one has to stop it; empty: it is honest, and has to pass. `what` says what is wrong with
    it, in a few words.
    """

    name: str
    what: str
    gates: tuple[str, ...]
    make: Callable[[Ground_contra, Path], None]

    @property
    def honest(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.gates
