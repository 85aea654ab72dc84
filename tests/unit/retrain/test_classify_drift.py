"""How far a classifier drifted, as its report says it: by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thumbwheel.retrain.logged_votes import drift


def test_drift_is_the_divergence_of_the_candidate_from_the_champion() -> None:
    candidate_NK, champion_NK = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.5, 0.5]])
    from_champion = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert drift(candidate_NK, champion_NK) == pytest.approx(from_champion / 2, rel=1e-12)
    other_way = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert drift(champion_NK, candidate_NK) == pytest.approx(other_way / 2, rel=1e-12)


def test_a_label_never_given_adds_nothing_and_one_only_the_candidate_gives_is_endless() -> None:
    certain_NK, even_NK = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert drift(certain_NK, even_NK) == pytest.approx(math.log(2))
    assert drift(even_NK, certain_NK) == math.inf
