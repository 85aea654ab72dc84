"""Entities by hand: what counts as one."""

from __future__ import annotations

import pytest

from thumbwheel.policy.bio import Entity, entities


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-city I-city O", [Entity("city", 1, 3)]),
        ("B-city B-city I-city", [Entity("city", 0, 1), Entity("city", 1, 3)]),
        ("B-city I-day I-day", [Entity("city", 0, 1), Entity("day", 1, 3)]),
        ("I-city I-city O I-city", [Entity("city", 0, 2), Entity("city", 3, 4)]),
        ("O O", []),
        ("B-x-y I-x-y", [Entity("x-y", 0, 2)]),
    ],
)
def test_spans_of_tags(tags: str, found: list[Entity]) -> None:
    assert entities(tags.split()) == found
