"""Advantages by generalised advantage estimation, and masked statistics.

Shapes: B replies, R longest reply. `mask_BR` is True on real tokens. An episode ends with its last token, also
that of a reply cut at the limit: nothing can follow it, so there is no bootstrap past it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_advantages(
    rewards_BR: Tensor, values_BR: Tensor, mask_BR: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return (advantages_BR, returns_BR), 0 on padding.

    delta_t = r_t + gamma V_{t+1} - V_t,  A_t = delta_t + gamma lam A_{t+1},  return_t = A_t + V_t
    (Schulman et al. 2016, arXiv 1506.02438, section 3: the discounted sum of residuals, as a recursion).
    gamma and lam are in [0, 1].
    """
    values_BR = values_BR * mask_BR
    rewards_BR = rewards_BR * mask_BR
    advantages_BR = torch.zeros_like(rewards_BR)
    next_value_B = next_advantage_B = torch.zeros_like(rewards_BR[:, 0])
    for t in reversed(range(rewards_BR.shape[1])):
        delta_B = rewards_BR[:, t] + gamma * next_value_B - values_BR[:, t]
        next_advantage_B = (delta_B + gamma * lam * next_advantage_B) * mask_BR[:, t]
        next_value_B = values_BR[:, t]
        advantages_BR[:, t] = next_advantage_B
    return advantages_BR, advantages_BR + values_BR


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the places where `mask` is True; 0 when there are none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor, eps: float = 1e-8) -> Tensor:
    """Shift and scale to mean 0 and variance 1 over the masked places; 0 elsewhere."""
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    return (values - mean) * torch.rsqrt(variance + eps) * mask
