"""A customer's message with its truth: the intent and the slots in it."""

from __future__ import annotations

from dataclasses import dataclass

from thumbwheel.policy.words import split_words


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
        """Return the words, as a `tag` policy is served them, with their BIO tags: `B-city`, `I-city`, `O`."""
        return [(word.text, self._tag(word.start, word.end)) for word in split_words(self.text)]

    def _tag(self, start: int, end: int) -> str:
        for slot in self.slots:
            if slot.start <= start and end <= slot.end:
                return f"{'B' if start == slot.start else 'I'}-{slot.name}"
        return "O"
