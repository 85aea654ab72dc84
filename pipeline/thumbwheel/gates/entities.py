"""Entities in BIO tags, and how well one tagging finds those of another: precision, recall and F1 as seqeval has them.

An entity is right if its name, its first and its last word are. `I-city` that follows no `B-city` or `I-city` begins a
city (the lenient reading of the CoNLL script, and of seqeval's default mode).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Tags = Sequence[str]


class Entity(NamedTuple):
    """A named span: words `start` to `end` (exclusive)."""

    name: str
    start: int
    end: int


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


def entities(tags: Tags) -> list[Entity]:
    """The entities of one text's BIO tags, in order."""
    found: list[Entity] = []
    for place, tag in enumerate(tags):
        edge, _, name = tag.partition("-")
        if edge not in ("B", "I"):
            continue
        goes_on = edge == "I" and found and found[-1].end == place and found[-1].name == name
        if goes_on:
            found[-1] = found[-1]._replace(end=place + 1)
        else:
            found.append(Entity(name, place, place + 1))
    return found


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
