"""The losses of PPO as pure functions, for any policy: an action is a token (shape B, R) or a label (shape B).

`mask` is True on real actions. Means run over all of them, or, where `count` is given, over that many: the number in
the whole minibatch, so that micro-batches add up to what one large batch would give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

MAX_LOG_RATIO: Final = 20.0


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """The clipped loss to descend, with what it tells about the step: all are scalars."""

    loss: Tensor
    clip_fraction: Tensor
    approx_kl: Tensor
    mean_ratio: Tensor


def clipped_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float,
    count: Tensor | None = None,
) -> PolicyLoss:
    """Return the loss -E[min(rho A, clamp(rho, 1 - clip, 1 + clip) A)], rho = pi(a) / pi_old(a).

    Schulman et al. 2017, arXiv 1707.06347, eq. 7. `approx_kl` is E[(rho - 1) - log rho], the k3 estimator of
    KL(pi_old || pi) (Schulman 2020, "Approximating KL divergence"). The log-ratio is clamped to +-20.
    """
    log_ratio = (logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = log_ratio.exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip)
    return PolicyLoss(
        loss=_mean(torch.maximum(plain, clipped), mask, count),
        clip_fraction=_mean((clipped > plain).float(), mask, count).detach(),
        approx_kl=_mean(kl_k3(old_logprobs, logprobs), mask, count).detach(),
        mean_ratio=_mean(ratio, mask, count).detach(),
    )


def clipped_value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float, count: Tensor | None = None
) -> Tensor:
    """Return .5 E[max((V - R)^2, (V_clipped - R)^2)], V_clipped = V_old + clamp(V - V_old, -clip, clip).

    Ziegler et al. 2019, arXiv 1909.08593, as in the authors' published code.
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    worse = torch.maximum((values - returns) ** 2, (near - returns) ** 2)
    return 0.5 * _mean(worse, mask, count)


def kl_k1(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Return log pi - log pi_ref of each action: unbiased for KL(pi || pi_ref), the penalty within rewards.

    Estimator k1 of Schulman 2020, "Approximating KL divergence".
    """
    return logprobs - reference_logprobs


def squared_drift(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Return (log pi - log pi_ref)^2 / 2 of each token: a squared log-probability difference, 0 where nothing moved.

    On tokens sampled from pi it is estimator k2 of KL(pi || pi_ref) (Schulman 2020, "Approximating KL divergence"), and
    its gradient that of the KL. On texts of others, as the customers' own, it is neither: it holds their likelihoods.
    """
    return 0.5 * (logprobs - reference_logprobs) ** 2


def kl_k3(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Return (r - 1) - log r of each action, r = pi_ref / pi: never below 0, and unbiased for KL(pi || pi_ref).

    Estimator k3 of Schulman 2020, "Approximating KL divergence", for actions drawn from pi. log r is clamped to +-20.
    """
    log_ratio = (reference_logprobs - logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return torch.expm1(log_ratio) - log_ratio


def _mean(values: Tensor, mask: Tensor, count: Tensor | None) -> Tensor:
    return (values * mask).sum() / (mask.sum() if count is None else count).clamp(min=1)
