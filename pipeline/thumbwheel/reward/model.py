"""The reward model: a frozen policy as the reader of a reply, a few small heads as the judges of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.errors import DamagedArtifact
from thumbwheel.reward.calibration import Calibration
from thumbwheel.reward.features import Readout, feature_width, featurise, read
from thumbwheel.reward.head import RewardHead

WEIGHTS_FILE: Final = "reward.safetensors"
FACTS_FILE: Final = "reward.json"


@dataclass(slots=True, eq=False)
class RewardModel:
    """Scores replies: the mean of its members' logits, less `caution` times their standard deviation.

    `backbone` is the policy that the votes were about; it is never trained here and belongs to nobody else. `mean` and
    `std` are those of that on replies of the reference policy, which then score 0 on average. What members disagree on
    counts against a reply, since PPO finds whatever one of them is wrong about (Coste et al. 2023, arXiv 2310.02743,
    "Reward model ensembles help mitigate overoptimization", there with the variance). `told` is what fitting found.
    """

    backbone: PreTrainedModel
    head: RewardHead
    mean: float = 0.0
    std: float = 1.0
    caution: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)
    readout: Readout = Readout.SURPRISE
    told: Mapping[str, Any] = field(default_factory=dict)

    def scores(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
        """Return a score a reply, of mean 0 and standard deviation 1 over the reference policy's replies."""
        return ((careful(self.logits(prompts, replies), self.caution) - self.mean) / self.std).tolist()

    def probabilities(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
        """Return the predicted probability of a thumb up of each reply, calibrated."""
        return list(map(float, self.calibration.probabilities(self.logits(prompts, replies).mean(-1).numpy())))

    @torch.no_grad()
    def logits(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> Tensor:
        """Return each member's logits of N replies, (N, K). Every reply has a token."""
        logits_NK = torch.zeros(len(prompts), self.head.members)
        for rows, features_BRC, mask_BR in featurise(self.backbone, prompts, replies):
            replies_here = zip(features_BRC, mask_BR, strict=True)
            seen = [read(features_RC[mask_R], self.readout) for features_RC, mask_R in replies_here]
            logits_NK[rows] = self.head.of_tokens(torch.cat(seen), torch.tensor([len(one) for one in seen]))
        return logits_NK

    def normalise(self, logits_NK: Tensor) -> None:
        """Set `mean` and `std` from the logits of some replies, which then score 0 on average."""
        values_N = careful(logits_NK, self.caution)
        self.mean, self.std = float(values_N.mean()), max(float(values_N.std()), 1e-3)

    def save(self, folder: Path) -> None:
        """Write the head and its normalisation into `folder`; the backbone is a version of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.head.state_dict(), folder / WEIGHTS_FILE)
        facts = {
            "features": self.head.token.in_features,
            "hidden": self.head.hidden,
            "members": self.head.members,
            "mean": self.mean,
            "std": self.std,
            "caution": self.caution,
            "temperature": self.calibration.temperature,
            "bias": self.calibration.bias,
            "readout": self.readout.value,
            "told": self.told,
        }
        (folder / FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")


def careful(logits_NK: Tensor, caution: float) -> Tensor:
    """Return mean over members - caution x standard deviation over members, (N,); one member has none."""
    return logits_NK.mean(-1) - caution * logits_NK.std(-1, correction=0)


def load_reward(folder: Path, backbone: PreTrainedModel) -> RewardModel:
    """Read what `save` wrote, for the same backbone.

    Raises:
        DamagedArtifact: a file is missing or unreadable, or the backbone has another width.
    """
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        head = RewardHead(int(facts["features"]), int(facts["hidden"]), int(facts["members"]))
        head.load_state_dict(load_file(folder / WEIGHTS_FILE))
        model = RewardModel(
            backbone,
            head.eval(),
            float(facts["mean"]),
            float(facts["std"]),
            float(facts["caution"]),
            Calibration(float(facts["temperature"]), float(facts["bias"])),
            Readout(facts["readout"]),
            dict(facts["told"]),
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise DamagedArtifact(f"{folder.name}: not a readable reward model: fit it again") from error
    if head.token.in_features != feature_width(backbone, model.readout):
        raise DamagedArtifact(f"{folder.name}: the reward model belongs to another policy: fit it again")
    return model
