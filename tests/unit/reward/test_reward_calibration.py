"""AUC against counting pairs, ECE against a hand-worked case."""

import math
from itertools import product
from random import Random

import numpy as np
import pytest

from thumbwheel.reward.calibration import (
    Calibration,
    calibrate,
    expected_calibration_error,
    of_the_mean,
    reliability,
    roc_auc,
)


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


def test_calibration_error_counted_by_hand() -> None:
    # 10 bins of 10 votes: 5 predict .2 and see 4 of 10 up; 5 predict .8 and see 7 of 10
    up = np.concatenate([np.tile([1.0] * 4 + [0.0] * 6, 5), np.tile([1.0] * 7 + [0.0] * 3, 5)])
    found = expected_calibration_error(up, np.repeat([0.2, 0.8], 50))
    assert found == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)


def test_with_fewer_votes_than_bins_each_is_its_own() -> None:
    assert expected_calibration_error([True, False, False, False], [0.9, 0.1, 0.7, 0.1]) == pytest.approx(0.25)


def test_calibration_error_of_resamples_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    up, probabilities = rng.random((3, 57)) < 0.6, rng.random((3, 57))
    alone = [float(expected_calibration_error(*columns)) for columns in zip(up, probabilities, strict=True)]
    assert expected_calibration_error(up, probabilities).tolist() == pytest.approx(alone)


def test_perfect_predictions_have_no_error() -> None:
    assert expected_calibration_error([False, True, True], [0.0, 1.0, 1.0]) == 0.0


def test_reliability_points_are_bins_of_equal_count() -> None:
    probabilities = np.arange(100) / 100
    points = reliability((probabilities > 0.495).astype(float), probabilities)
    assert [count for _, _, count in points] == [10] * 10
    assert points[0][:2] == pytest.approx((0.045, 0.0))
    assert points[9][:2] == pytest.approx((0.945, 1.0))


def test_what_was_fitted_to_single_members_is_carried_over_to_their_mean() -> None:
    """Members err by themselves: a single one deserves less belief than the mean of three."""
    rng = np.random.default_rng(0)
    truth_N = rng.normal(0.5, 1, size=40_000)
    z_NK = truth_N[:, None] + rng.normal(0, 1.2, size=(40_000, 3))
    ups_N, mean_N = rng.random(40_000) < 1 / (1 + np.exp(-truth_N)), z_NK.mean(1)
    single = calibrate(z_NK[np.arange(40_000), rng.integers(3, size=40_000)], ups_N)
    direct, carried = calibrate(mean_N, ups_N), of_the_mean(single, z_NK)
    assert carried.temperature == pytest.approx(direct.temperature, rel=0.1) and single.temperature > 1.5
    errors = [float(expected_calibration_error(ups_N, one.probabilities(mean_N))) for one in (direct, carried, single)]
    assert errors[1] < 0.02 < 0.04 < errors[2]
    assert carried.probabilities(z_NK.mean()) == pytest.approx(single.probabilities(z_NK.mean()))


def test_logits_that_stay_as_they_are_stay_so_for_the_mean() -> None:
    assert of_the_mean(Calibration(), [[1.0, 2.0], [0.0, 3.0]]) == Calibration()
    assert of_the_mean(Calibration(2.0, 0.1), [[1.0, 2.0], [1.0, 2.0]]) == Calibration(2.0, 0.1)
    alike = of_the_mean(Calibration(2.0, 0.1), [[1.0, 1.0], [0.0, 0.0]])
    assert [alike.temperature, alike.bias] == pytest.approx([2.0, 0.1])
