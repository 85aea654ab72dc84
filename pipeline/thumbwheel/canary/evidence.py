"""Evidence that may be looked at after every vote: e-processes and confidence sequences for shares of thumbs.

For one share p and s thumbs up, f down, the mixture over Beta(1/2, 1/2)

    m(s, f) = B(s + 1/2, f + 1/2) / B(1/2, 1/2)

divided by the likelihood p^s (1-p)^f is a martingale that starts at 1 where thumbs are up with probability p (Robbins
1970; Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences"). By
Ville's inequality it ever reaches 1/alpha with probability at most alpha. The product over two versions is one for any
order in which their votes come, so that dividing by the largest likelihood that a hypothesis allows gives an e-process
for the hypothesis (universal inference: Wasserman, Ramdas & Balakrishnan 2020, section 7), and all differences that
are not refuted are a confidence sequence for the difference.

Logarithms are natural. Numbers or arrays of them, broadcast: counts are of independent users, one thumb each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlogy

from thumbwheel.errors import InvalidInput
from thumbwheel.ope.intervals import Interval

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = float | NDArray[np.floating] | NDArray[np.integer]
Thumbs: TypeAlias = tuple[Counts, Counts]
"""(up, down)."""

_PRIOR = 0.5
_HALVINGS = 60


def log_mixture(thumbs: Thumbs) -> Floats:
    """ln m(s, f)."""
    up, down = (np.asarray(count, dtype=np.float64) for count in thumbs)
    return np.asarray(betaln(up + _PRIOR, down + _PRIOR) - betaln(_PRIOR, _PRIOR))


def log_likelihood(thumbs: Thumbs, share: Counts) -> Floats:
    """ln of share^s (1 - share)^f, with 0 ln 0 = 0."""
    up, down = thumbs
    return np.asarray(xlogy(up, share) + xlogy(down, 1.0 - np.asarray(share)))


def log_e_share(thumbs: Thumbs, share: float) -> Floats:
    """ln of the e-process against "each is up with probability `share`"."""
    return log_mixture(thumbs) - log_likelihood(thumbs, share)


def log_e_share_above(thumbs: Thumbs, share: float) -> Floats:
    """ln of the e-process against "each is up with probability `share` at most": large where it is more."""
    up, down = (np.asarray(count, dtype=np.float64) for count in thumbs)
    found = up / np.maximum(up + down, 1.0)
    return log_mixture(thumbs) - log_likelihood((up, down), np.minimum(found, share))


def log_e_worse(control: Thumbs, tried: Thumbs, margin: float) -> Floats:
    """ln of the e-process against "p_tried >= p_control - margin": large where the tried version is worse by more."""
    inside = _share(tried) - _share(control) >= -margin
    return _log_mixtures(control, tried) - _most_likely(control, tried, -margin, inside)


def log_e_good(control: Thumbs, tried: Thumbs, margin: float) -> Floats:
    """ln of the e-process against "p_tried <= p_control - margin": large where it is no worse than that."""
    inside = _share(tried) - _share(control) <= -margin
    return _log_mixtures(control, tried) - _most_likely(control, tried, -margin, inside)


def difference(control: Thumbs, tried: Thumbs, confidence: float) -> Interval:
    """p_tried - p_control with a confidence sequence: right at all times together with probability `confidence`.

    Raises InvalidInput for a confidence that is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InvalidInput("confidence", f"must lie between 0 and 1, got {confidence}")
    least = -math.log1p(-confidence)
    found = float(_share(tried) - _share(control))

    def refuted(gap: float) -> bool:
        return float(_log_mixtures(control, tried) - _on_border(control, tried, gap)) >= least

    return Interval(found, _border(refuted, found, -1.0), _border(refuted, found, 1.0))


def _border(refuted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where, from `inside` towards `outside`, differences begin to be refuted; the outer end of the last doubt."""
    if not refuted(outside * (1.0 - 1e-9)):
        return outside
    for _ in range(_HALVINGS // 2):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if refuted(middle) else (middle, outside)
    return outside


def _share(thumbs: Thumbs) -> Floats:
    up, down = (np.asarray(count, dtype=np.float64) for count in thumbs)
    return np.asarray(up / np.maximum(up + down, 1.0))


def _log_mixtures(control: Thumbs, tried: Thumbs) -> Floats:
    return log_mixture(control) + log_mixture(tried)


def _most_likely(control: Thumbs, tried: Thumbs, gap: float, inside: NDArray[np.bool_] | np.bool_) -> Floats:
    """The largest ln likelihood of both: at the shares found where these are `inside`, else on the border.

    Without a vote on one of them, its share is taken as what fits best, so nothing is refuted.
    """
    anywhere = log_likelihood(control, _share(control)) + log_likelihood(tried, _share(tried))
    unheard = (np.add(*control) == 0) | (np.add(*tried) == 0)
    return np.where(inside | unheard, anywhere, _on_border(control, tried, gap))


def _on_border(control: Thumbs, tried: Thumbs, gap: float) -> Floats:
    """The largest ln likelihood with p_tried = p_control + gap: concave in p_control, by halving on its slope."""
    (up_c, down_c), (up_t, down_t) = control, tried
    shape = np.broadcast_shapes(*(np.shape(count) for count in (up_c, down_c, up_t, down_t)))
    low, high = np.full(shape, max(0.0, -gap)), np.full(shape, min(1.0, 1.0 - gap))
    for _ in range(_HALVINGS):
        p = (low + high) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = up_c / p - down_c / (1 - p) + up_t / (p + gap) - down_t / (1 - p - gap)
        low, high = np.where(slope > 0, p, low), np.where(slope > 0, high, p)
    p = (low + high) / 2
    return log_likelihood(control, p) + log_likelihood(tried, np.clip(p + gap, 0.0, 1.0))
