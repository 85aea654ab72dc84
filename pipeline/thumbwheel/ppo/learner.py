"""What changes while PPO for `generate` learns: what a checkpoint keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.ppo.kl import AdaptiveKl


@dataclass(slots=True, eq=False)
class Learner:
    """The policy, its value head, their optimiser, the KL controller."""

    policy: CausalPolicy
    value_head: nn.Linear
    optimizer: torch.optim.Adam
    kl: AdaptiveKl
