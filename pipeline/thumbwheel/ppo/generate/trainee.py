"""What learns in PPO for `generate`, and the champion that it is held near: all of its weights, or adapters on them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.policy.loading import CausalPolicy, load_causal
from thumbwheel.ppo.generate.settings import PpoSettings


class Trainee(Protocol):
    """A policy whose parameters that require gradients learn. Its forward pass is that of the current weights."""

    @property
    def policy(self) -> CausalPolicy:
        """The policy as it is now."""

    def reference(self) -> AbstractContextManager[PreTrainedModel]:
        """The champion's model, for a while. The trainee's own must not run within."""

    def weights(self) -> Mapping[str, Tensor]:
        """The weights of the moment as one model has them, adapters merged in: for a copy to take over."""

    def whole(self) -> CausalPolicy:
        """The policy as it is saved and served: one model, without adapters. Nothing may learn afterwards."""


@dataclass(frozen=True, slots=True)
class AllWeights:
    """Every weight learns; the champion is a second model in memory."""

    policy: CausalPolicy
    champion: CausalPolicy

    def reference(self) -> AbstractContextManager[PreTrainedModel]:
        """See the protocol."""
        return nullcontext(self.champion.model)

    def weights(self) -> Mapping[str, Tensor]:
        """See the protocol."""
        weights: Mapping[str, Tensor] = self.policy.model.state_dict()
        return weights

    def whole(self) -> CausalPolicy:
        """See the protocol."""
        return self.policy


def trainee_of(champion: Path, settings: PpoSettings, seed: int) -> Trainee:
    """Load the champion as the policy that is to be improved: with adapters where `settings.lora_rank` is above 0.

    Raises:
        DamagedArtifact: the champion can not be read.
    """
    if settings.lora_rank == 0:
        return AllWeights(load_causal(champion), load_causal(champion))
    from thumbwheel.ppo.generate.lora import with_adapters  # brings a library along that nothing else needs

    return with_adapters(load_causal(champion), settings.lora_rank, settings.lora_alpha, seed)
