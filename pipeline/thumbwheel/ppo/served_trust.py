"""How far each rater's votes go along with what the versions that served held likely, where no reward model is learned.

The estimate of a vote is the logged probability of the label that was served. The version that gave it knew none of
these votes, neither the rater's own nor those of others who may be in league with him: who agrees with his friends
gains nothing by it. A version may have learned from earlier votes of the same raters; what it learned wrongly from them
it vouches for.

Two slopes are asked for. From the means on, as in `reward/trust.py`: who votes up always, or by chance, has a slope of
0, and who votes the opposite a negative one. And from 1/2 on: most of what is served is right, so who votes it all down
goes against what is likely, which his few votes on doubtful labels hardly show. The smaller of both trusts counts.

How much a rater's own votes count against what is known of all is not fixed here, for a log has a few votes a rater:
where raters differ by no more than chance all are trusted alike, and where some vote the opposite a few votes show it
(empirical Bayes; Efron and Morris 1973, "Stein's estimation rule and its competitors").

Shape suffixes: N votes, R raters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thumbwheel.reward.trust import MOST, RaterTrust

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_EVEN = 0.5
_NOTHING = 0.0


def served_trust(raters_N: Sequence[str], estimates_N: Floats, rewards_N: Floats, weights_N: Floats) -> RaterTrust:
    """Weigh raters by the slopes of their votes on estimates, all in [0, 1]; `weights_N` say how much each vote counts.

    With y = reward - origin and x = estimate - origin, each rater's slope is b_r = S_xy / S_xx with variance v / S_xx,
    where v is the mean square of what the raters' own slopes leave. The slopes' mean is b = sum S_xy / sum S_xx and
    their variance t between raters by moments (DerSimonian and Laird 1986, "Meta-analysis in clinical trials", eq. 9).
    The posterior mean of a slope is (S_xy + m b) / (S_xx + m), m = v / t; the trust is that over b, in [0, 1.5]: who is
    found to go against what is likely teaches nothing.
    """
    names = sorted(set(raters_N))
    rater_N = _indices(raters_N, names)
    if not np.isfinite(estimates_N).all() or not weights_N.any():
        return RaterTrust()  # a gate counts what is no number
    x_N, y_N = (column_N - np.average(column_N, weights=weights_N) for column_N in (estimates_N, rewards_N))
    trust_R = np.minimum(
        _trust(x_N, y_N, weights_N, rater_N), _trust(estimates_N - _EVEN, rewards_N - _EVEN, weights_N, rater_N)
    )
    return RaterTrust(dict(zip(names, trust_R.tolist(), strict=True)))


def _trust(x_N: Floats, y_N: Floats, weights_N: Floats, rater_N: Indices) -> Floats:
    """Each rater's, (R,); 1 for all where estimates foretell no vote, and so tell nothing of raters."""
    xx_R, xy_R, yy_R = (
        np.bincount(rater_N, weights=weights_N * product_N).astype(np.float64)
        for product_N in (x_N * x_N, x_N * y_N, y_N * y_N)
    )
    if xy_R.sum() <= 0:
        return np.ones(len(xx_R))
    slope = float(xy_R.sum() / xx_R.sum())
    prior = _prior(xx_R, xy_R, yy_R, float(weights_N.sum()))
    if prior == np.inf:
        return np.ones(len(xx_R))
    return np.clip((xy_R + prior * slope) / (xx_R + prior) / slope, _NOTHING, MOST)


def _prior(xx_R: Floats, xy_R: Floats, yy_R: Floats, votes: float) -> float:
    """m = v / t, in units of S_xx; infinite where raters differ by no more than chance, or nobody can know."""
    seen_R = xx_R > np.finfo(float).eps * xx_R.sum()
    xx_R, xy_R, yy_R = xx_R[seen_R], xy_R[seen_R], yy_R[seen_R]
    spare = votes - len(xx_R)
    within = float((yy_R - xy_R**2 / xx_R).sum()) / spare if spare > 0 else 0.0
    if within <= 0 or len(xx_R) < 2:
        return np.inf
    precision_R, slope_R = xx_R / within, xy_R / xx_R
    middle = float(precision_R @ slope_R / precision_R.sum())
    excess = float(precision_R @ (slope_R - middle) ** 2) - (len(xx_R) - 1)
    between = excess / float(precision_R.sum() - (precision_R @ precision_R) / precision_R.sum())
    return within / between if between > 0 else np.inf


def _indices(raters_N: Sequence[str], names: Sequence[str]) -> Indices:
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[rater] for rater in raters_N], dtype=np.int64)
