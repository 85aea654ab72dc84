"""How well one tagging finds the entities of another: precision, recall and F1 as seqeval has them.

An entity is right if its name, its first and its last word are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thumbwheel.policy.bio import entities

Tags = Sequence[str]


@dataclass(frozen=True, slots=True)
class EntityScore:
    """Counts of entities: those that are there, those that were found, and those found that are right."""

    there: int = 0
    found: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """Share of the found that are right; 0 when none was found."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of those there that were found; 0 when there are none."""
        return self.right / self.there if self.there else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 2 right / (there + found); 0 when nothing is there nor found."""
        return 2 * self.right / (self.there + self.found) if self.there + self.found else 0.0


def score_entities(right: Sequence[Tags], given: Sequence[Tags]) -> Mapping[str, EntityScore]:
    """Score each entity's name over texts, sorted by name; `""` is all of them together (micro average).

    Raises ValueError when the texts, or the tags of one, are not as many.
    """
    there, found, hit = Counter[str](), Counter[str](), Counter[str]()
    for truth, guess in zip(right, given, strict=True):
        if len(truth) != len(guess):
            raise ValueError(f"a text has {len(truth)} right tags and {len(guess)} given ones")
        wanted, got = entities(truth), entities(guess)
        there.update(entity.name for entity in wanted)
        found.update(entity.name for entity in got)
        hit.update(entity.name for entity in set(wanted) & set(got))
    names = sorted(there | found)
    scores = {name: EntityScore(there[name], found[name], hit[name]) for name in names}
    return {"": EntityScore(there.total(), found.total(), hit.total()), **scores}
