"""Who rates labels: facts by hand, and weights that undo a known habit."""

from __future__ import annotations

from math import log
from random import Random

import numpy as np
import pytest

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.records import Channel, ClassifyAnswer, LoggedResponse, Split, VersionRef
from thumbwheel.reward.propensity import _facts, fit_propensity, weighted


def row(p: float, text: str = "hello", label: int = 0) -> SnapshotRow:
    answer = ClassifyAnswer(text, label, "ab"[label], (p, 1 - p), 0.02, ("a", "b"))
    ref = VersionRef("desk", "v1", "d")
    response = LoggedResponse("r", "q", ref, Channel.CHAMPION, "", "u", "", 0, "", answer)
    return SnapshotRow(response, (), Split.TRAIN)


def test_facts_of_a_label_by_hand() -> None:
    entropy = -(0.8 * log(0.8) + 0.2 * log(0.2))
    assert _facts(row(0.8, "four", label=1).response) == pytest.approx([log(5), log(0.2), log(0.8), entropy])


def test_labels_that_are_seldom_rated_weigh_more() -> None:
    """Doubtful labels are rated one time in two, certain ones one in ten."""
    rng = Random(0)
    answers = [(n % 2 == 0, rng.random()) for n in range(4000)]
    rows = [(row(0.95 if sure else 0.5), drawn < (0.1 if sure else 0.5)) for sure, drawn in answers]
    rated, unrated = [one for one, is_rated in rows if is_rated], [one for one, is_rated in rows if not is_rated]
    model = fit_propensity(rated, unrated, {"rated": len(rated), "unrated": len(unrated)})
    assert model is not None
    # P(rated) is .3 overall
    assert weighted(row(0.95), model).weight == pytest.approx(0.3 / 0.1, rel=0.15)
    assert weighted(row(0.5), model).weight == pytest.approx(0.3 / 0.5, rel=0.1)
    assert np.mean([weighted(one, model).weight for one in rated]) == pytest.approx(1.0, abs=0.1)
