"""How far each rater is believed, by what the versions that served held likely, where no reward model is learned.

The estimate of a vote is the logged probability of the label that was served. The version that gave it knew none of
these votes, neither the rater's own nor those of others who may be in league with him: who agrees with his friends
gains nothing by it. A version may have learned from earlier votes of the same raters; what it learned wrongly from them
it vouches for.

Raters are of four sorts, and which is whose is told by expectation and maximisation (Dawid and Skene 1979, "Maximum
likelihood estimation of observer error-rates using the EM algorithm"). With p the estimate and y the vote in [0, 1]:

    honest       y is 1 with the probability f(p) = sigmoid(a + c logit(p))      trust  1
    careless     ... 1/2 + (f(p) - 1/2) / 2                                             1/2
    opposite     ... 1 - f(p)                                                          -1
    indifferent  ... a rate of the rater's own, whatever was served; before, all are     0
                 alike likely

a and c, shared by all, say how well what served is calibrated and how often thumbs are wrong; how many raters are of
each sort is estimated with them. A rater's trust is the mean of what is told of the sorts, each as likely as the votes
make it, and no less than 0: how much of what a vote seems to say is to be believed. Where all are honest nearly all
have nearly 1, whatever a few votes of theirs look like by chance; where some vote the opposite a handful of votes show
it.

Shape suffixes: N votes, R raters, S the four sorts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, expit, logit, softmax

from thumbwheel.reward.trust import RaterTrust

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

ROUNDS: Final = 60
"""Rounds of expectation and maximisation."""

_BELIEVED_S: Final = np.array([1.0, 0.5, -1.0, 0.0])
_FIRST_SHARES_S: Final = np.array([0.7, 0.1, 0.1, 0.1])
# One rater of each sort is thought to have been seen before.
_SEEN_BEFORE = 1.0
# Nothing is surer than this: a single vote against what is all but certain must not decide who somebody is.
_SURE = 0.98
# What keeps Newton's steps in bounds where few votes, or all alike, say little of the line.
_RIDGE = 1e-3
_LONGEST_STEP = 1.0
_FIRST_STEPS = 10


def served_trust(
    raters_N: Sequence[str], estimates_N: Floats, rewards_N: Floats, said_N: Floats, weights_N: Floats
) -> RaterTrust:
    """Weigh raters in [0, 1] by their votes on estimates, all in [0, 1].

    `said_N` in [0, 1] is how much each vote says of its rater: one that repeats another says nothing new. `weights_N`,
    at least 0, is how much it says of what raters share: there the busy must not decide. All have 1 where what served
    foretells no vote, and so tells nothing of raters; nobody is weighed where an estimate is no number, which a gate
    counts, or where there are no votes.
    """
    if not np.isfinite(estimates_N).all() or not weights_N.any():
        return RaterTrust()
    names = sorted(set(raters_N))
    votes = _Votes(
        np.stack([np.ones(len(raters_N)), logit(np.clip(estimates_N, 1 - _SURE, _SURE))], axis=1),
        rewards_N,
        said_N,
        weights_N,
        _indices(raters_N, names),
    )
    return RaterTrust(dict(zip(names, _trust(votes, len(names)).tolist(), strict=True)))


@dataclass(frozen=True, slots=True)
class _Votes:
    """1 and the logit of the estimate, and what is told of each vote."""

    design_N2: Floats
    rewards_N: Floats
    said_N: Floats
    weights_N: Floats
    rater_N: Indices


def _trust(votes: _Votes, raters: int) -> Floats:
    """(R,). The line begins as if all were honest: so the larger part of the votes says which way is the opposite."""
    line_2, shares_S = np.zeros(2), _FIRST_SHARES_S
    ones_N = np.ones(len(votes.rater_N))
    for _ in range(_FIRST_STEPS):
        line_2 = line_2 + _newton_step(votes, line_2, ones_N, 0 * ones_N)
    if line_2[1] <= 0:
        return np.ones(raters)
    indifferent_R = _indifferent(votes, raters)
    for _ in range(ROUNDS):
        likelihoods_RS = np.stack([*_by_line(votes, line_2, raters), indifferent_R], axis=1)
        sorts_RS = softmax(likelihoods_RS + np.log(shares_S), axis=1)
        shares_S = (sorts_RS.sum(axis=0) + _SEEN_BEFORE) / (raters + len(shares_S) * _SEEN_BEFORE)
        line_2 = line_2 + _newton_step(votes, line_2, sorts_RS[votes.rater_N, 0], sorts_RS[votes.rater_N, 2])
    return np.maximum(sorts_RS @ _BELIEVED_S, 0.0) if line_2[1] > 0 else np.ones(raters)


def _by_line(votes: _Votes, line_2: Floats, raters: int) -> list[Floats]:
    """Log-likelihood of each rater's votes, (R,), for each sort but the indifferent."""
    up_N = np.clip(expit(votes.design_N2 @ line_2), 1 - _SURE, _SURE)
    likelihoods = []
    for believed in _BELIEVED_S[:3].tolist():
        sort_N = 0.5 + believed * (up_N - 0.5)
        told_N = votes.rewards_N * np.log(sort_N) + (1 - votes.rewards_N) * np.log(1 - sort_N)
        told_R = np.bincount(votes.rater_N, weights=votes.said_N * told_N, minlength=raters)
        likelihoods.append(told_R.astype(np.float64))
    return likelihoods


def _indifferent(votes: _Votes, raters: int) -> Floats:
    """The same by a rate of the rater's own that is alike likely all over [0, 1]."""
    up_R = np.bincount(votes.rater_N, weights=votes.said_N * votes.rewards_N, minlength=raters)
    said_R = np.bincount(votes.rater_N, weights=votes.said_N, minlength=raters)
    return np.asarray(betaln(up_R + 1, said_R - up_R + 1))


def _newton_step(votes: _Votes, line_2: Floats, honest_N: Floats, opposite_N: Floats) -> Floats:
    """One step, (2,), to the likeliest line: logistic regression on honest votes and on opposite ones turned round."""
    up_N = expit(votes.design_N2 @ line_2)
    told_N = votes.weights_N * (honest_N + opposite_N)
    turned_N = votes.weights_N * (honest_N * votes.rewards_N + opposite_N * (1 - votes.rewards_N))
    slope_2 = votes.design_N2.T @ (turned_N - told_N * up_N)
    curvature_22 = (votes.design_N2 * (told_N * up_N * (1 - up_N))[:, None]).T @ votes.design_N2 + _RIDGE * np.eye(2)
    return np.clip(np.linalg.solve(curvature_22, slope_2), -_LONGEST_STEP, _LONGEST_STEP)


def _indices(raters_N: Sequence[str], names: Sequence[str]) -> Indices:
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[rater] for rater in raters_N], dtype=np.int64)
