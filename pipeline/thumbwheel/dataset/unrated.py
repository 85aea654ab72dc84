"""Answers that nobody rated, as a bounded sample: what they are unlike the rated ones in is who rates.

Around some rated answers, drawn at random, the next answers are read, rated or not. So the sample is from the times at
which people rate, is read by the key in short walks, and is as large whatever the store holds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from thumbwheel.records import LoggedResponse
from thumbwheel.store.port import FeedbackStore

WALKS: Final = 40
STEPS: Final = 50


class Surroundings:
    """Draws the places, looks around them, and is told who was rated. Memory: at most `WALKS` x `STEPS` answers."""

    def __init__(self, seed: int) -> None:
        """Draw by `seed`."""
        self._random = random.Random(f"unrated {seed}")
        self._starts: list[str] = []
        self._seen = 0
        self._found: dict[str, LoggedResponse] = {}
        self._looked_at = 0

    def add(self, response_id: str) -> None:
        """Take one rated answer's id into the draw of places (algorithm R, Vitter 1985)."""
        self._seen += 1
        if len(self._starts) < WALKS:
            self._starts.append(response_id)
        elif (place := self._random.randrange(self._seen)) < WALKS:
            self._starts[place] = response_id

    def look(self, store: FeedbackStore, policy: str) -> None:
        """Read what comes after each place."""
        for start in sorted(self._starts):
            self._found |= {one.response_id: one for one in store.answers_after(policy, start, STEPS)}
        self._looked_at = len(self._found)

    def is_rated(self, response_id: str) -> None:
        """Be told of an answer that has votes."""
        self._found.pop(response_id, None)

    def unrated(self, after: str) -> Iterator[LoggedResponse]:
        """Those that were read, have no votes and are younger than the answer `after`, in the order of ids."""
        return (one for response_id, one in sorted(self._found.items()) if response_id > after)

    def figures(self) -> dict[str, int]:
        """How many of the answers that were read are rated, and how many not."""
        return {"rated": self._looked_at - len(self._found), "unrated": len(self._found)}
