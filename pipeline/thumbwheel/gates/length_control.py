"""Win rate at equal length: what remains of a win when being longer (or shorter) no longer helps.

After the length-controlled win rate of AlpacaEval (Dubois et al. 2024, arXiv 2404.04475, section 3), without its
term for the difficulty of a prompt:

    P(candidate wins prompt i) = sigmoid(theta + phi * tanh(d_i / std(d))),  d_i = candidate's - champion's tokens

and the win rate at equal length is sigmoid(theta). Ties count half. A ridge keeps phi and theta finite when wins
are unanimous; phi's is the larger, so that what both can explain goes to theta.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thumbwheel.gates.evidence import Floats

RIDGE_THETA = 0.05
RIDGE_PHI = 1.0
STEPS = 25
MAX_STEP = 2.0


def wins(champion_scores_P: Floats, candidate_scores_P: Floats) -> Floats:
    """1 where the candidate scores higher, 0 where lower, one half for a tie."""
    return 0.5 + 0.5 * np.sign(candidate_scores_P - champion_scores_P)


def length_feature(champion_lengths_P: Floats, candidate_lengths_P: Floats) -> Floats:
    """tanh of the difference in length over its standard deviation, in (-1, 1).

    0 where the difference is the same on every prompt: then nothing tells what length is worth.
    """
    difference_P = candidate_lengths_P - champion_lengths_P
    spread = float(difference_P.std())
    return np.tanh(difference_P / spread) if spread > 0.0 else np.zeros_like(difference_P)


def win_rate_at_equal_length(wins_P: Floats, feature_P: Floats, axis: int = -1) -> NDArray[np.float64]:
    """sigmoid(theta) of the fit along the last axis; leading axes are resamples, fitted at once.

    Maximises the penalised likelihood by Newton's method; steps are cut at 2 so that unanimous wins converge.
    """
    if axis != -1:
        raise ValueError("only the last axis can hold the prompts")
    theta = np.zeros(wins_P.shape[:-1])
    phi = np.zeros_like(theta)
    for _ in range(STEPS):
        step_theta, step_phi = _newton_step(wins_P, feature_P, theta, phi)
        theta, phi = theta + step_theta, phi + step_phi
        if max(np.abs(step_theta).max(), np.abs(step_phi).max()) < 1e-9:
            break
    return np.asarray(_sigmoid(theta))


def _newton_step(wins_P: Floats, feature_P: Floats, theta: Floats, phi: Floats) -> tuple[Floats, Floats]:
    """The step of the 2 x 2 Newton system of the penalised log-likelihood."""
    share_P = _sigmoid(theta[..., None] + phi[..., None] * feature_P)
    left_P = wins_P - share_P
    curve_P = share_P * (1.0 - share_P)
    slope_theta = left_P.sum(-1) - RIDGE_THETA * theta
    slope_phi = (left_P * feature_P).sum(-1) - RIDGE_PHI * phi
    h_theta = curve_P.sum(-1) + RIDGE_THETA
    h_cross = (curve_P * feature_P).sum(-1)
    h_phi = (curve_P * feature_P**2).sum(-1) + RIDGE_PHI
    determinant = h_theta * h_phi - h_cross**2
    step_theta = (h_phi * slope_theta - h_cross * slope_phi) / determinant
    step_phi = (h_theta * slope_phi - h_cross * slope_theta) / determinant
    return np.clip(step_theta, -MAX_STEP, MAX_STEP), np.clip(step_phi, -MAX_STEP, MAX_STEP)


def _sigmoid(logit: Floats) -> Floats:
    """The logistic function, safe for large arguments."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))
