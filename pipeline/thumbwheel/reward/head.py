"""The reward head: a small network over each token, pooled over the reply.

Shapes: B replies, R longest reply, C features, H hidden units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RewardHead(nn.Module):
    """Standardise, project to H units, pool by mean and by maximum, weigh to one logit a reply.

    The maximum lets one bad token decide; the mean carries the tone. The last layer starts at N(0, 1 / sqrt(2H + 1))
    (Stiennon et al. 2020, arXiv 2009.01325, appendix).
    """

    def __init__(self, features: int, hidden: int = 64) -> None:
        """`features` is C, `hidden` is H."""
        super().__init__()
        self.register_buffer("mean_C", torch.zeros(features))
        self.register_buffer("scale_C", torch.ones(features))
        self.token = nn.Linear(features, hidden)
        self.reply = nn.Linear(2 * hidden, 1)
        nn.init.normal_(self.reply.weight, std=1 / math.sqrt(2 * hidden + 1))
        nn.init.zeros_(self.reply.bias)

    def standardise(self, mean_C: Tensor, std_C: Tensor) -> None:
        """Set what the features are shifted and scaled by."""
        self.get_buffer("mean_C").copy_(mean_C)
        self.get_buffer("scale_C").copy_(1 / std_C.clamp(min=1e-3))

    def forward(self, features_BRC: Tensor, mask_BR: Tensor) -> Tensor:
        """Return one logit a reply, (B,): sigmoid of it is the probability of a thumb up."""
        x_BRC = (features_BRC - self.get_buffer("mean_C")) * self.get_buffer("scale_C")
        units_BRH = torch.nn.functional.gelu(self.token(x_BRC))
        mask_BR1 = mask_BR.unsqueeze(-1)
        mean_BH = (units_BRH * mask_BR1).sum(1) / mask_BR1.sum(1).clamp(min=1)
        most_BH = units_BRH.masked_fill(~mask_BR1, -torch.inf).amax(1)
        logits_B: Tensor = self.reply(torch.cat([mean_BH, most_BH], dim=-1)).squeeze(-1)
        return logits_B
