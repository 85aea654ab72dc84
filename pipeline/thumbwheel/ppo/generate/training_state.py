"""What changes while PPO for `generate` learns, and who learns it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.scoring import state_width
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.kl import AdaptiveKl
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers


@dataclass(slots=True, eq=False)
class TrainingState:
    """The policy, its value head, their optimiser, the KL controller: the same on each of the `workers`."""

    policy: CausalPolicy
    value_head: nn.Linear
    optimizer: torch.optim.Adam
    kl: AdaptiveKl
    workers: Workers = field(default_factory=Alone)


def initial_state(policy: CausalPolicy, settings: PpoSettings, workers: Workers) -> TrainingState:
    """Return the state at the start: value head zero, Adam with the eps of the recipe."""
    value_head = nn.Linear(state_width(policy.model), 1)
    nn.init.zeros_(value_head.weight)
    nn.init.zeros_(value_head.bias)
    parameters = [*policy.model.parameters(), *value_head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate, eps=1e-5)
    kl = AdaptiveKl(settings.beta, settings.kl_target, settings.kl_horizon)
    return TrainingState(policy, value_head, optimizer, kl, workers)


def set_learning_rate(state: TrainingState, iteration: int, settings: PpoSettings) -> None:
    """Let the rate fall evenly from the first iteration to `final_rate_share` in the last."""
    done = iteration / max(1, settings.iterations - 1)
    state.optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - (1 - settings.final_rate_share) * done)
