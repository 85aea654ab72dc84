"""A customer's message with its truth: the intent and the slots in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Slot:
    """A named value at characters `start` to `end` (exclusive) of the message."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class HelpRequest:
    """What a customer wrote, what they want, and the slots they named, in order of appearance."""

    text: str
    intent: str
    slots: tuple[Slot, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of the slots of one name."""
        return tuple(slot.value for slot in self.slots if slot.name == name)

    def tagged_words(self) -> list[tuple[str, str]]:
        """Return words and signs with their BIO tags: `B-city`, `I-city`, `O`."""
        return [(word[0], self._tag(word.start(), word.end())) for word in _WORD.finditer(self.text)]

    def _tag(self, start: int, end: int) -> str:
        for slot in self.slots:
            if slot.start <= start and end <= slot.end:
                return f"{'B' if start == slot.start else 'I'}-{slot.name}"
        return "O"
