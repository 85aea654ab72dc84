"""The reward head: a few small networks over each token, pooled over the reply; where they differ, nobody knows.

Shapes: N tokens of some replies together, B replies, R longest reply, C features, K members, H hidden units of each,
L levels of a rating.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thumbwheel.reward.losses import RATING_LEVELS, rising


class RewardHead(nn.Module):
    """K networks side by side: standardise, project to H units, pool by mean and by maximum, weigh to a logit a reply.

    The maximum lets one bad token decide; the mean carries the tone. The last layer starts at N(0, 1 / sqrt(2H + 1))
    (Stiennon et al. 2020, arXiv 2009.01325, appendix). Members see the same features and share nothing else, so that
    one pass over the tokens serves them all.
    """

    def __init__(self, features: int, hidden: int = 64, members: int = 1) -> None:
        """`features` is C, `hidden` is H, `members` is K."""
        super().__init__()
        self.members = members
        self.register_buffer("mean_C", torch.zeros(features))
        self.register_buffer("scale_C", torch.ones(features))
        self.token = nn.Linear(features, members * hidden)
        self.weight_KU = nn.Parameter(torch.randn(members, 2 * hidden) / math.sqrt(2 * hidden + 1))
        self.bias_K = nn.Parameter(torch.zeros(members))
        # Where ratings of 1, 2, 3, 4 give way to the next: of each member, since each has a scale of its own.
        self.first_cut_K1 = nn.Parameter(torch.full((members, 1), -1.5))
        self.cut_steps_KL = nn.Parameter(torch.full((members, RATING_LEVELS - 2), math.log(math.e - 1)))

    @property
    def hidden(self) -> int:
        """H."""
        return self.weight_KU.shape[1] // 2

    def standardise(self, mean_C: Tensor, std_C: Tensor) -> None:
        """Set what the features are shifted and scaled by."""
        self.get_buffer("mean_C").copy_(mean_C)
        self.get_buffer("scale_C").copy_(1 / std_C.clamp(min=1e-3))

    def cuts_KL(self) -> Tensor:
        """Return each member's cutpoints of ratings, (K, L - 1)."""
        return rising(self.first_cut_K1, self.cut_steps_KL)

    def forward(self, features_BRC: Tensor, mask_BR: Tensor) -> Tensor:
        """Return each member's logit of each reply, (B, K): sigmoid of it is the probability of a thumb up."""
        return self.of_tokens(features_BRC[mask_BR], mask_BR.sum(-1))

    def of_tokens(self, features_NC: Tensor, lengths_B: Tensor) -> Tensor:
        """Return the logits (B, K) of replies whose tokens stand one after the other; every reply has one."""
        x_NC = (features_NC - self.get_buffer("mean_C")) * self.get_buffer("scale_C")
        units_NU = nn.functional.gelu(self.token(x_NC))
        mean_BU, most_BU = (torch.segment_reduce(units_NU, how, lengths=lengths_B, axis=0) for how in ("mean", "max"))
        pooled_BKU = torch.cat([part.reshape(len(part), self.members, -1) for part in (mean_BU, most_BU)], dim=-1)
        return (pooled_BKU * self.weight_KU).sum(-1) + self.bias_K
