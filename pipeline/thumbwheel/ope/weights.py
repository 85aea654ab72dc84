"""Importance weights and what they say about how far a log reaches.

Shape suffixes: B logged answers, K labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thumbwheel.errors import InvalidInput

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def importance_weights(target_BK: Floats, logged_BK: Floats, actions_B: Indices) -> Floats:
    """How much likelier the target policy makes each logged label: w = target(a|x) / logged(a|x), shape (B,).

    Raises InvalidInput when a logged probability of a drawn label is not above 0: it could not have been drawn.
    """
    rows_B = np.arange(len(actions_B))
    logged_B = logged_BK[rows_B, actions_B]
    if not (logged_B > 0).all():
        raise InvalidInput("probabilities", "a label was served whose logged probability is not above 0")
    return np.asarray(target_BK[rows_B, actions_B] / logged_B, dtype=np.float64)


def clipped(weights_B: Floats, most: float) -> Floats:
    """The weights, none above `most`. Raises InvalidInput for a `most` that is not above 0."""
    if not most > 0:
        raise InvalidInput("most", f"the largest weight allowed must be above 0, got {most}")
    return np.minimum(weights_B, most)


def effective_sample_size(weights_B: Floats) -> float:
    """How many equally weighted answers carry the same information: (sum w)^2 / sum w^2, in [0, B].

    Kish (1965), "Survey sampling"; Owen (2013), "Monte Carlo theory, methods and examples", section 9.3.
    """
    square_sum = float(np.square(weights_B).sum())
    return float(weights_B.sum()) ** 2 / square_sum if square_sum > 0 else 0.0


def largest_weight(weights_B: Floats) -> float:
    """The largest importance weight; 0 for an empty log. A few large ones mean the value rests on a few answers."""
    return float(weights_B.max(initial=0.0))
