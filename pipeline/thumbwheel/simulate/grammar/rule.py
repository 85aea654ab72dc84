"""The notation of the grammar: templates with alternatives, slots and key phrases.

(please|could you|) cancel order {order}     one of the alternatives is taken, the last may be nothing
{order}                                      a slot, filled from the message
I have *cancelled* order {order}.            the key phrase: what tells this intent's answer from all others
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Final

SLOTS: Final = ("order", "product", "name", "day", "city")

_SLOT: Final = re.compile(r"\{(\w+)\}")
_KEY: Final = re.compile(r"\*([^*]+)\*")
_INNERMOST: Final = re.compile(r"\(([^()]*)\)")
_BLANKS: Final = re.compile(r"\s+")
_BLANK_BEFORE_SIGN: Final = re.compile(r"\s+([.,!?;:])")


@dataclass(frozen=True)
class IntentRule:
    """One intent: how customers ask, and how a good reply answers. Every act names the same slots."""

    name: str
    asks: tuple[str, ...]
    acts: tuple[str, ...]

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Slots that a good reply names."""
        return slot_names(self.acts[0])

    @cached_property
    def keys(self) -> frozenset[str]:
        """Key phrases of the acts, in lower case: any of them answers this intent."""
        return frozenset(key.lower() for act in self.acts for key in _KEY.findall(act))


def slot_names(template: str) -> tuple[str, ...]:
    """Return the slots of a template in order of appearance, each once."""
    return tuple(dict.fromkeys(_SLOT.findall(template)))


def expand(template: str, rng: Random) -> str:
    """Choose among the alternatives, innermost first; drop key marks; slots stay as they are."""
    text = template.replace("*", "")
    while match := _INNERMOST.search(text):
        text = text[: match.start()] + rng.choice(match[1].split("|")) + text[match.end() :]
    return _BLANK_BEFORE_SIGN.sub(r"\1", _BLANKS.sub(" ", text)).strip()


def split_slots(template: str) -> list[tuple[str, str]]:
    """Cut an expanded template into (text, "") and ("", slot) pieces, in order."""
    parts = _SLOT.split(template)
    return [(part, "") if i % 2 == 0 else ("", part) for i, part in enumerate(parts) if part]
