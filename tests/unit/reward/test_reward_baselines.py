"""Models that a reward model has to see more than."""

from __future__ import annotations

import math
import random

import pytest

from thumbwheel.reward.baselines import LENGTH, TOKENS, baseline_aucs
from thumbwheel.reward.rated_reply import RatedReply


def replies(count: int, seed: int, good_token: float = 0.0, good_is_long: bool = False) -> list[RatedReply]:
    """Half good and half bad; good ones have token 7 with probability `good_token`, bad ones never."""
    rng, rows = random.Random(seed), []
    for index in range(count):
        good = index % 2 == 0
        length = rng.randint(1, 9) + (10 if good and good_is_long else 0)
        tokens = [rng.randint(10, 40) for _ in range(length)]
        if good and rng.random() < good_token:
            tokens[rng.randrange(length)] = 7
        rows.append(RatedReply((1, 2), tuple(tokens), float(good)))
    return rows


def test_each_sees_what_it_knows_and_nothing_else() -> None:
    by_token = baseline_aucs(replies(400, 0, good_token=1.0), replies(200, 1, good_token=1.0))
    assert by_token[TOKENS] == 1.0
    assert by_token[LENGTH] == pytest.approx(0.5, abs=0.1)
    by_length = baseline_aucs(replies(400, 2, good_is_long=True), replies(200, 3, good_is_long=True))
    assert by_length[LENGTH] == 1.0
    nothing = baseline_aucs(replies(400, 4), replies(400, 5))
    assert all(auc == pytest.approx(0.5, abs=0.1) for auc in nothing.values())


def test_without_both_sides_nothing_is_known() -> None:
    good = [row for row in replies(20, 0) if row.target > 0.5]
    for train, held_out in ((good, replies(20, 1)), (replies(20, 1), []), (replies(20, 1), good)):
        assert all(math.isnan(auc) for auc in baseline_aucs(train, held_out).values())
