"""The objective of PPO on logged votes, one for `classify` and `tag`: an action is a text's label, or a word's tag.

What it is, and where it comes from, stands in `classify/improve.py`.

Shape suffixes: N actions, B actions of a slice, K labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from thumbwheel.policy.classify import served_probabilities
from thumbwheel.ppo.losses import clipped_policy_loss
from thumbwheel.ppo.metrics import Metrics
from thumbwheel.ppo.vote_updates import VoteLoss, VoteTrainingSettings


@dataclass(frozen=True, slots=True)
class VotePpoSettings:
    """The objective of PPO on votes. The defaults are what the benchmarks of `classify` ran with."""

    probability_floor: float = 0.02
    """The floor the new policy will be served with."""
    clip: float = 0.2
    largest_anchor_weight: float = 5.0
    """Where champion / logged is truncated."""
    training: VoteTrainingSettings = field(default_factory=VoteTrainingSettings)


@dataclass(frozen=True, slots=True, eq=False)
class VoteColumns:
    """Votes as tensors, (N,): served labels, log of their logged probability, advantage in [-1, 1], and weight."""

    labels_N: Tensor
    logged_N: Tensor
    advantages_N: Tensor
    weights_N: Tensor


def ppo_vote_loss(columns: VoteColumns, proximal_N: Tensor, settings: VotePpoSettings) -> VoteLoss:
    """The clipped objective on these votes as a function of new logits; `proximal_N`: the champion's log p(label)."""
    anchor_N = (proximal_N - columns.logged_N).exp().clamp(max=settings.largest_anchor_weight)
    # The clipped minimum scales with weights of at least 0, so they go into the advantage.
    advantages_N = columns.weights_N * anchor_N * columns.advantages_N

    def loss(logits_BK: Tensor, rows_B: Tensor, count: int) -> tuple[Tensor, Metrics]:
        probs_BK = served_probabilities(logits_BK, settings.probability_floor)
        log_probs_BK = finite_log(probs_BK)
        new_B = log_probs_BK.gather(1, columns.labels_N[rows_B, None]).squeeze(1)
        everything_B = torch.ones_like(rows_B, dtype=torch.bool)
        old_B, advantages_B = proximal_N[rows_B], advantages_N[rows_B]
        step = clipped_policy_loss(new_B, old_B, advantages_B, everything_B, settings.clip, torch.tensor(count))
        return step.loss, {
            "ratio": float(step.mean_ratio.detach()),
            "clip_fraction": float(step.clip_fraction),
            "approx_kl": float(step.approx_kl),
            "entropy": float(-(probs_BK * log_probs_BK).sum().detach() / count),
        }

    return loss


def job_fingerprint(champion: Path, votes: Sequence[object], settings: object) -> str:
    """SHA-256 over everything that decides the result: the champion's weights, the votes, the settings."""
    digest = hashlib.sha256((champion / "model.safetensors").read_bytes())
    digest.update(repr(settings).encode())
    for vote in votes:
        digest.update(repr(vote).encode())
    return digest.hexdigest()


def finite_log(probs: Tensor) -> Tensor:
    """ln p, and with a floor of 0 of the least normal float32 where p underflows: ln 0 would make gradients NaN."""
    return probs.clamp(min=torch.finfo(torch.float32).tiny).log()
