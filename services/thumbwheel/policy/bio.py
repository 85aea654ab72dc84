"""Entities in BIO tags: `B-city` begins a city, `I-city` goes on with it, `O` is nothing.

An `I-city` that follows no `B-city` or `I-city` begins a city (the lenient reading of the CoNLL script, and the default
mode of seqeval). Pages read tags in the same way, in `web/static/tags.js`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Entity(NamedTuple):
    """A named span: words `start` to `end` (exclusive)."""

    name: str
    start: int
    end: int


def entities(tags: Sequence[str]) -> list[Entity]:
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
