"""AUC against counting pairs, ECE against a hand-worked case."""

import math
from itertools import product
from random import Random

import pytest

from thumbwheel.reward.calibration import expected_calibration_error, roc_auc


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = Random(3)
    scores = [rng.randrange(8) / 8 for _ in range(60)]
    ups = [rng.random() < score for score in scores]
    good = [s for s, up in zip(scores, ups, strict=True) if up]
    bad = [s for s, up in zip(scores, ups, strict=True) if not up]
    wins = sum(1.0 if g > b else 0.5 if g == b else 0.0 for g, b in product(good, bad))
    assert roc_auc(scores, ups) == pytest.approx(wins / len(good) / len(bad))


def test_auc_of_one_class_is_unknown() -> None:
    assert math.isnan(roc_auc([0.1, 0.2], [True, True]))


def test_calibration_error_by_hand() -> None:
    # two bins of two: predicted .1 and .8 on average, observed 0 and .5
    assert expected_calibration_error([0.9, 0.1, 0.7, 0.1], [True, False, False, False], bins=2) == pytest.approx(0.2)


def test_perfect_predictions_have_no_error() -> None:
    assert expected_calibration_error([0.0, 1.0, 1.0], [False, True, True]) == 0.0
