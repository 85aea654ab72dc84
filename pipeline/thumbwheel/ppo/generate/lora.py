"""Low-rank adapters on a policy that stays as it is: W x + (alpha / rank) B A x, where only A and B learn.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685, section 4.1. B begins at zero,
so the first policy is the champion. With the adapters off the same model is the reference: one model in memory. What is
saved has W + (alpha / rank) B A in place of W, a policy like any other.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import peft
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from thumbwheel.policy.loading import CausalPolicy

# Every linear map within a block: adapting attention alone learns less (Schulman et al. 2025, "LoRA without regret").
_ROTARY: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_TARGETS: Final = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "olmo2", "smollm3", "granite"), _ROTARY),
    "gpt2": ("c_attn", "c_proj", "c_fc"),
    "gpt_neox": ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
    "opt": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
    "phi": ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"),
    "starcoder2": ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"),
}
# What an architecture without a row gets, in peft's words: every linear map but the head over the vocabulary.
_ALL_LINEAR: Final = "all-linear"


@dataclass(frozen=True, slots=True)
class Adapters:
    """A policy whose adapters learn; implements `Trainee`. `adapted` wraps the model of `policy`, which has them."""

    policy: CausalPolicy
    adapted: Any

    def reference(self) -> AbstractContextManager[PreTrainedModel]:
        """See the protocol."""
        return _WithoutAdapters(self.policy.model, self.adapted)

    @torch.no_grad()
    def weights(self) -> Mapping[str, Tensor]:
        """See the protocol."""
        weights = dict(self.policy.model.state_dict())
        for name in [name for name in weights if ".lora_" in name]:
            del weights[name]
        for at, module in self.policy.model.named_modules():
            if isinstance(module, LoraLayer):
                weights[f"{at}.base_layer.weight"] = module.weight + module.get_delta_weight("default")
        return {name.replace(".base_layer.", "."): value for name, value in weights.items()}

    def whole(self) -> CausalPolicy:
        """See the protocol."""
        return CausalPolicy(self.adapted.merge_and_unload(), self.policy.tokenizer)


class _WithoutAdapters(AbstractContextManager[PreTrainedModel]):
    """The model with its adapters off."""

    def __init__(self, model: PreTrainedModel, adapted: Any) -> None:
        self._model = model
        self._off = adapted.disable_adapter()

    def __enter__(self) -> PreTrainedModel:
        self._off.__enter__()
        return self._model

    def __exit__(self, *error: Any) -> None:
        self._off.__exit__(*error)


def with_adapters(policy: CausalPolicy, rank: int, alpha: float, seed: int) -> Adapters:
    """Put adapters of `rank` on the policy's model, which is changed in place. A is drawn by `seed`, B is zero."""
    model = policy.model
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,  # the sampled and the scored policy are one
        target_modules=targets_of(model),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type=peft.TaskType.CAUSAL_LM,
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft 0.21 reads it, and nobody who could change that is told
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        torch.manual_seed(seed)
        adapted = peft.get_peft_model(model, config)
    return Adapters(policy, adapted.eval())


def targets_of(model: PreTrainedModel) -> list[str] | str:
    """The names of the maps that get an adapter: by the model's architecture, else all linear ones in its blocks."""
    names = _TARGETS.get(model.config.model_type)
    return list(names) if names else _ALL_LINEAR
