"""Entities by hand: how well one tagging finds those of another."""

from __future__ import annotations

import pytest

from thumbwheel.gates.entities import EntityScore, score_entities


def test_scores_count_whole_entities_by_name_and_together() -> None:
    right = [["B-city", "I-city", "O", "B-day"], ["O", "B-city", "O"], ["O", "O"]]
    given = [["B-city", "I-city", "O", "O"], ["O", "B-day", "O"], ["B-city", "O"]]
    # There: city 2, day 1. Found: city 2 (one of them wrong), day 1 (wrong). Right: city 1.
    scores = score_entities(right, given)
    assert scores == {"": EntityScore(3, 3, 1), "city": EntityScore(2, 2, 1), "day": EntityScore(1, 1, 0)}
    assert (scores["city"].precision, scores["city"].recall, scores["city"].f1) == (0.5, 0.5, 0.5)
    assert (scores[""].precision, scores[""].recall, scores[""].f1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (scores["day"].precision, scores["day"].f1) == (0.0, 0.0)


def test_half_an_entity_is_none_and_nothing_at_all_scores_nothing() -> None:
    assert score_entities([["B-city", "I-city"]], [["B-city", "O"]])["city"] == EntityScore(1, 1, 0)
    assert score_entities([["O"]], [["O"]])[""].f1 == 0.0
    uneven = score_entities([["B-a", "O", "B-a", "B-a"]], [["B-a", "O", "O", "O"]])["a"]
    assert (uneven.precision, uneven.recall, uneven.f1) == pytest.approx((1.0, 1 / 3, 0.5))


def test_texts_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 right tags and 1 given"):
        score_entities([["O", "O"]], [["O"]])
