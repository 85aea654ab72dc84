"""What each kind of vote says of the scores of replies, as negative log-likelihoods: pure functions, nats a vote.

One score s of a reply explains every vote on it, whatever its kind.
Shapes: N votes, B rankings, K places of the longest ranking, L levels of a rating.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

RATING_LEVELS: Final = 5

# The score of a place that a ranking has not: its share in every sum is exactly 0, and gradients stay finite.
_ABSENT = -1e9

# Cutpoints that learning has pushed together are taken to be this far apart: a level has some probability left.
_LEAST_WIDTH = 1e-6


def thumb_loss(scores_N: Tensor, up_N: Tensor) -> Tensor:
    """Return -[y log sigma(s) + (1 - y) log sigma(-s)] = softplus(s) - y s of each thumb, y = 1 up and 0 down. (N,).

    The Bernoulli likelihood of a logistic regression (Cox 1958, "The regression analysis of binary sequences").
    """
    return F.softplus(scores_N) - up_N * scores_N


def rating_loss(scores_N: Tensor, ratings_N: Tensor, cuts_L: Tensor) -> Tensor:
    """Return -log P(Y = y) of each rating y, where P(Y <= k) = sigma(c_k - s) for rising cutpoints c_k. (N,).

    The proportional-odds (cumulative logit) model, McCullagh 1980, "Regression models for ordinal data", eq. 2.1.
    `ratings_N` are integers in [1, L]; `cuts_L` are the L - 1 cutpoints of all rows, or (N, L - 1) those of each.

    P(Y = y) = sigma(b) - sigma(a) with b = c_y - s, a = c_{y-1} - s is computed as sigma(b) sigma(-a) (1 - exp(a - b)),
    which loses nothing where both are near 0 or 1.
    """
    above_N1 = ratings_N.unsqueeze(-1) - 1
    cuts_NL = cuts_L.expand(len(scores_N), -1)
    last = cuts_NL.shape[-1]
    upper_N = cuts_NL.gather(1, above_N1.clamp(max=last - 1)).squeeze(-1) - scores_N
    lower_N = cuts_NL.gather(1, (above_N1 - 1).clamp(min=0)).squeeze(-1) - scores_N
    first_N, final_N = ratings_N == 1, ratings_N == last + 1
    below_upper_N = F.logsigmoid(upper_N).masked_fill(final_N, 0.0)
    above_lower_N = F.logsigmoid(-lower_N).masked_fill(first_N, 0.0)
    width_N = (upper_N - lower_N).clamp(min=_LEAST_WIDTH).masked_fill(first_N | final_N, 1.0)
    between_N = torch.log(-torch.expm1(-width_N)).masked_fill(first_N | final_N, 0.0)
    return -(below_upper_N + above_lower_N + between_N)


def rising(first: Tensor, steps: Tensor) -> Tensor:
    """Return cutpoints that rise whatever the parameters: the first, then softplus(step) more each. (..., L - 1)."""
    return torch.cat([first, first + F.softplus(steps).cumsum(-1)], dim=-1)


def ranking_loss(scores_BK: Tensor, places_B: Tensor, ordered_B: Tensor) -> Tensor:
    """Return -sum over j <= m of [s_j - log sum over l >= j of exp(s_l)] of each ranking, best first. (B,).

    Plackett 1975, "The analysis of permutations", eq. 1, after Luce 1959: the best is chosen among all, the next among
    the rest. `places_B` counts the candidates of a ranking, at least 1; `ordered_B` how many of them, m, are in order:
    those after are below all of these, but not ordered among themselves. Columns from `places_B` on are not read. An
    edit is a ranking of two: -log sigma(s_edited - s_original), Bradley and Terry 1952.
    """
    column_K = torch.arange(scores_BK.shape[1], device=scores_BK.device)
    present_BK = column_K < places_B.unsqueeze(-1)
    chosen_BK = column_K < ordered_B.unsqueeze(-1)
    known_BK = scores_BK.masked_fill(~present_BK, _ABSENT)
    rest_BK = known_BK.flip(-1).logcumsumexp(-1).flip(-1)
    return ((rest_BK - known_BK).masked_fill(~(chosen_BK & present_BK), 0.0)).sum(-1)
