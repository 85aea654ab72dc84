"""The knobs of PPO for `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PpoSettings:
    """KL is in nats, `kl_horizon` in episodes; an episode is one reply.

    Two terms hold what the reward says nothing of, and what would drift without them. `anchor_weight` is that of the
    drift of the customers' own text, `liked_weight` that of the likelihood of replies users liked, of which each step
    reads `liked_rows`. `edit_weight` is that of replies as users corrected them, of which each step reads `edit_rows`.

    With `lora_rank` above 0 adapters of that rank learn instead of the weights, and count `lora_alpha / lora_rank`.

    Replies are sampled by a plain loop on the learning model (`rollouts` "generate"), or by the batching loop that
    serves, on a copy ("engine"): the same replies.

    Every `evaluate_every` iterations (0: never) the policy answers up to `evaluation_prompts` prompts of a tenth that
    is set aside; the latest state that is not worse than the best is taken, and `patience` evaluations one after the
    other that are worse (0: any number) end it.
    """

    iterations: int = 20
    episodes: int = 128
    minibatch: int = 64
    epochs: int = 4
    learning_rate: float = 5e-4
    final_rate_share: float = 0.1
    clip: float = 0.2
    value_clip: float = 0.2
    value_weight: float = 0.1
    anchor_weight: float = 0.3
    liked_weight: float = 0.3
    liked_rows: int = 8
    gamma: float = 1.0
    lam: float = 0.95
    beta: float = 0.1
    kl_target: float = 2.0
    kl_horizon: int = 1500
    max_update_kl: float = 0.1
    max_gradient_norm: float = 1.0
    temperature: float = 1.0
    max_new_tokens: int = 64
    unfinished_penalty: float = 1.0
    least_prompts: int = 100
    checkpoint_every: int = 5
    edit_weight: float = 0.0
    edit_rows: int = 8
    lora_rank: int = 0
    lora_alpha: float = 16.0
    evaluate_every: int = 5
    evaluation_prompts: int = 128
    patience: int = 2
    rollouts: Literal["generate", "engine"] = "generate"
