"""Off-policy estimators, each as one term for every logged answer; the estimate is the mean of the terms.

Terms, not means, are returned so that an interval can be put around them (`intervals`), and so that two policies
can be compared on the same log: the interval of `terms_new - terms_old` is paired, hence narrower.

Shape suffixes: B logged answers, K labels. Rewards have any unit; thumbs are 1 (up) and 0 (down).
"""

from __future__ import annotations

import math

import numpy as np

from thumbwheel.ope.weights import Floats, Indices, clipped


def ips_terms(weights_B: Floats, rewards_B: Floats, most: float = math.inf) -> Floats:
    """IPS, min(w, most) * r: unbiased where `most` is infinite, with the variance of the weights.

    Clipped (`most` > 0) it never overstates the value of rewards of at least 0: what is cut off is taken as worth
    nothing. Horvitz and Thompson (1952); clipped: Ionides (2008), "Truncated importance sampling", section 2, and
    Bottou et al. (2013), "Counterfactual reasoning and learning systems", section 4.4. Raises InvalidInput for a `most`
    that is not above 0.
    """
    return np.asarray(clipped(weights_B, most) * rewards_B, dtype=np.float64)


def snips(weights_B: Floats, rewards_B: Floats) -> float:
    """Self-normalised IPS, sum(w r) / sum(w): stays within the rewards' range, biased by O(1/B).

    Swaminathan and Joachims (2015), "The self-normalized estimator for counterfactual learning".
    NaN when all weights are 0.
    """
    total = float(weights_B.sum())
    return float(weights_B @ rewards_B) / total if total > 0 else float("nan")


def snips_terms(weights_B: Floats, rewards_B: Floats) -> Floats:
    """SNIPS linearised at its value v: v + w (r - v) / mean(w). The mean of the terms is v exactly.

    Their spread gives the delta-method interval of the ratio. Owen (2013), "Monte Carlo theory, methods and examples",
    section 9.2.
    """
    value = snips(weights_B, rewards_B)
    return np.asarray(value + weights_B * (rewards_B - value) / weights_B.mean(), dtype=np.float64)


def direct_method_terms(predicted_BK: Floats, target_BK: Floats) -> Floats:
    """Direct method, sum_a target(a|x) * predicted(x, a): no weights, as wrong as the prediction.

    Dudik, Langford and Li (2011), "Doubly robust policy evaluation and learning".
    """
    return np.asarray((predicted_BK * target_BK).sum(axis=1), dtype=np.float64)


def doubly_robust_terms(
    weights_B: Floats, rewards_B: Floats, actions_B: Indices, predicted_BK: Floats, target_BK: Floats
) -> Floats:
    """Doubly robust: the direct method plus the weighted residual w * (r - predicted(x, a)).

    Unbiased if either the weights or the predictions are right; `predicted_BK` must not have been fitted on
    the same answers. Dudik, Langford and Li (2011), same paper.
    """
    residual_B = rewards_B - predicted_BK[np.arange(len(actions_B)), actions_B]
    return direct_method_terms(predicted_BK, target_BK) + weights_B * residual_B
