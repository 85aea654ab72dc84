"""How good a reply truly is: the judgement that simulated users share, before their noise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from thumbwheel.simulate.grammar.phrases import (
    COURTEOUS_CLOSINGS,
    COURTEOUS_OPENINGS,
    RUDE_CLOSINGS,
    RUDE_OPENINGS,
)
from thumbwheel.simulate.grammar.rule import IntentRule
from thumbwheel.simulate.message import HelpRequest

SHORT_WORDS: Final = 19
LONG_WORDS: Final = 25

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class ReplyQuality:
    """Parts of the judgement, each in [0, 1].

    `total` multiplies them: an answer to another question, however polite and short, is worth nothing.
    """

    answers: float
    slots: float
    polite: float
    short: float
    fresh: float

    @property
    def total(self) -> float:
        """answers x (1 + 3 slots) / 4 x (polite + short + fresh) / 3, in [0, 1]."""
        return self.answers * (1 + 3 * self.slots) / 4 * (self.polite + self.short + self.fresh) / 3


def judge_reply(
    rule: IntentRule, rules: Mapping[str, IntentRule], values: Mapping[str, str], request: HelpRequest, reply: str
) -> ReplyQuality:
    """Judge a reply to a request.

    `rules` are all intents by name, `values` maps every value of the world (lower case) to its slot name.
    """
    text = reply.lower()
    words = _WORD.findall(text)
    return ReplyQuality(
        answers=_answers(rule, rules, text),
        slots=_slots(rule, values, request, words),
        polite=_polite(text),
        short=_short(len(words)),
        fresh=_fresh(words),
    )


def _answers(rule: IntentRule, rules: Mapping[str, IntentRule], text: str) -> float:
    """1 when only the right intent is answered, a half when others are answered too, else 0."""
    named = {other.name for other in rules.values() if any(key in text for key in other.keys)}
    if rule.name not in named:
        return 0.0
    return 1.0 if len(named) == 1 else 0.5


def _slots(rule: IntentRule, values: Mapping[str, str], request: HelpRequest, words: list[str]) -> float:
    """Share of the required slots that are named, halved when a value stands there that the customer never gave."""
    given = {slot.value.lower() for slot in request.slots}
    named = sum(any(value.lower() in words for value in request.values(slot)) for slot in rule.required)
    stranger = any((word in values or word.isdigit()) and word not in given for word in words)
    return named / len(rule.required) * (0.5 if stranger else 1.0)


def _polite(text: str) -> float:
    """0 with a rude phrase, 1 with a courteous one, else a half."""
    if any(phrase.lower() in text for phrase in (*RUDE_OPENINGS, *RUDE_CLOSINGS)):
        return 0.0
    return 1.0 if any(phrase.lower() in text for phrase in (*COURTEOUS_OPENINGS, *COURTEOUS_CLOSINGS)) else 0.5


def _short(words: int) -> float:
    """1 up to SHORT_WORDS, falling evenly to 0 at LONG_WORDS."""
    return min(1.0, max(0.0, (LONG_WORDS - words) / (LONG_WORDS - SHORT_WORDS)))


def _fresh(words: list[str]) -> float:
    """1 minus the share of word triples that occurred before in the reply, counted three times, at least 0."""
    triples = list(zip(words, words[1:], words[2:], strict=False))
    if not triples:
        return 1.0
    return max(0.0, 1.0 - 3.0 * (1.0 - len(set(triples)) / len(triples)))
