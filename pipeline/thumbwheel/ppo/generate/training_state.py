"""What changes while PPO for `generate` learns, and who learns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.scoring import state_width
from thumbwheel.ppo.generate.engine_rollout import EngineSampler
from thumbwheel.ppo.generate.rollout import Sampling, replies_by
from thumbwheel.ppo.generate.sequences import TokenIds
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import Trainee
from thumbwheel.ppo.kl import AdaptiveKl
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers


@dataclass(slots=True, eq=False)
class TrainingState:
    """The policy, its value head, their optimiser, the KL controller: the same on each of the `workers`.

    Where there is an `engine`, it samples the replies.
    """

    trainee: Trainee
    value_head: nn.Linear
    optimizer: torch.optim.Adam
    kl: AdaptiveKl
    workers: Workers = field(default_factory=Alone)
    engine: EngineSampler | None = None

    @property
    def policy(self) -> CausalPolicy:
        """The policy as it is now."""
        return self.trainee.policy

    @property
    def learned(self) -> list[Tensor]:
        """The parameters that learn, those of the value head last."""
        parameters: list[Tensor] = self.optimizer.param_groups[0]["params"]
        return parameters

    @property
    def counts(self) -> tuple[int, int]:
        """How many weights of the policy learn, and of how many that it has, adapters not counted."""
        parameters = list(self.policy.model.named_parameters())
        learned = sum(value.numel() for _, value in parameters if value.requires_grad)
        return learned, sum(value.numel() for name, value in parameters if "lora_" not in name)

    def replies(self, prompts: Sequence[TokenIds], sampling: Sampling, uniform_BR: Tensor) -> list[list[int]]:
        """Sample a reply to each prompt from the policy as it is now, by the draws."""
        if self.engine is not None:
            return self.engine.replies(self.trainee.weights(), prompts, sampling, uniform_BR)
        return replies_by(self.policy.model, prompts, sampling, uniform_BR)

    def copy(self) -> dict[str, Tensor]:
        """Copies of what learns, by its place."""
        return {str(place): value.detach().clone() for place, value in enumerate(self.learned)}

    @torch.no_grad()
    def put_back(self, copied: Mapping[str, Tensor]) -> None:
        """Go back to what `copy` returned."""
        for place, value in enumerate(self.learned):
            value.copy_(copied[str(place)])


def initial_state(trainee: Trainee, settings: PpoSettings, workers: Workers) -> TrainingState:
    """Return the state at the start: value head zero, Adam with the eps of the recipe."""
    model = trainee.policy.model
    value_head = nn.Linear(state_width(model), 1)
    nn.init.zeros_(value_head.weight)
    nn.init.zeros_(value_head.bias)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parameters = [*learned, *value_head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate, eps=1e-5)
    kl = AdaptiveKl(settings.beta, settings.kl_target, settings.kl_horizon)
    return TrainingState(trainee, value_head, optimizer, kl, workers)


def set_learning_rate(state: TrainingState, iteration: int, settings: PpoSettings) -> None:
    """Let the rate fall evenly from the first iteration to `final_rate_share` in the last."""
    done = iteration / max(1, settings.iterations - 1)
    state.optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - (1 - settings.final_rate_share) * done)
