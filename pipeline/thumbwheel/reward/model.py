"""The reward model: a frozen policy as the reader of a reply, a small head as the judge of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.errors import DamagedArtifact
from thumbwheel.reward.features import feature_width, featurise
from thumbwheel.reward.head import RewardHead

WEIGHTS_FILE: Final = "reward.safetensors"
FACTS_FILE: Final = "reward.json"


@dataclass(slots=True, eq=False)
class RewardModel:
    """Scores replies. `mean` and `std` are of the logits on the rated replies it was fitted to, of whatever version.

    `backbone` is the policy that the votes were about; it is never trained here and belongs to nobody else.
    """

    backbone: PreTrainedModel
    head: RewardHead
    mean: float = 0.0
    std: float = 1.0

    def scores(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
        """Return a score a reply, of mean 0 and standard deviation 1 over the replies that the head was fitted to."""
        return ((self.logits(prompts, replies) - self.mean) / self.std).tolist()

    def probabilities(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
        """Return the predicted probability of a thumb up of each reply."""
        return self.logits(prompts, replies).sigmoid().tolist()

    @torch.no_grad()
    def logits(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> Tensor:
        """Return the head's logits of N replies, (N,). Every reply has a token."""
        logits_N = torch.zeros(len(prompts))
        for rows, features_BRC, mask_BR in featurise(self.backbone, prompts, replies):
            logits_N[rows] = self.head(features_BRC, mask_BR)
        return logits_N

    def normalise(self, logits_N: Tensor) -> None:
        """Set `mean` and `std` from the logits of some replies, which then score 0 on average."""
        self.mean, self.std = float(logits_N.mean()), max(float(logits_N.std()), 1e-3)

    def save(self, folder: Path) -> None:
        """Write the head and its normalisation into `folder`; the backbone is a version of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.head.state_dict(), folder / WEIGHTS_FILE)
        facts = {"features": self.head.token.in_features, "hidden": self.head.token.out_features}
        (folder / FACTS_FILE).write_text(json.dumps({**facts, "mean": self.mean, "std": self.std}), encoding="utf-8")


def load_reward(folder: Path, backbone: PreTrainedModel) -> RewardModel:
    """Read what `save` wrote, for the same backbone.

    Raises:
        DamagedArtifact: a file is missing or unreadable, or the backbone has another width.
    """
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        head = RewardHead(int(facts["features"]), int(facts["hidden"]))
        head.load_state_dict(load_file(folder / WEIGHTS_FILE))
        model = RewardModel(backbone, head.eval(), float(facts["mean"]), float(facts["std"]))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DamagedArtifact(f"{folder.name}: not a readable reward model: fit it again") from error
    if head.token.in_features != feature_width(backbone):
        raise DamagedArtifact(f"{folder.name}: the reward model belongs to another policy: fit it again")
    return model
