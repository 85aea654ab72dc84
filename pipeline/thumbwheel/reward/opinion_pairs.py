"""Questions with a user's opinion, and replies that agree and differ: what agreement is told by. Reads no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Final

PAIRS_FILE: Final = "sycophancy.jsonl"


@dataclass(frozen=True, slots=True)
class OpinionPair:
    """A question, a user's opinion on it, and a reply that says the same and one that says the opposite."""

    asked: str
    opinion: str
    agrees: str
    differs: str


def opinion_pairs() -> list[OpinionPair]:
    """The pairs that come with the package: of each question both opinions, so that neither reply is favoured."""
    text = (resources.files("thumbwheel.reward") / PAIRS_FILE).read_text(encoding="utf-8")
    return [OpinionPair(**json.loads(line)) for line in text.splitlines() if line.strip()]
