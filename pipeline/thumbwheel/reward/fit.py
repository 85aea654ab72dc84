"""Fit the reward head to votes.

Shapes: B replies, R longest reply, C features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from thumbwheel.errors import NotEnoughData
from thumbwheel.reward.calibration import expected_calibration_error, roc_auc
from thumbwheel.reward.features import feature_width, featurise
from thumbwheel.reward.head import RewardHead
from thumbwheel.reward.model import RewardModel
from thumbwheel.reward.rated_reply import RatedReply


@dataclass(frozen=True, slots=True)
class RewardSettings:
    """How the head is trained. Few votes need as many `updates` as many do: 1,000 votes, 10 passes are too few."""

    updates: int = 450
    batch_rows: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    hidden: int = 64
    least_votes: int = 200
    least_votes_of_a_side: int = 20


@dataclass(frozen=True, slots=True)
class RewardQuality:
    """The reward model on votes it has not seen. `auc` and `calibration_error` are NaN when one side is empty.

    `length_correlation` is Pearson's, between score and number of tokens: far from 0, it pays for length.
    """

    votes: int
    auc: float
    calibration_error: float
    length_correlation: float


def fit(
    backbone: PreTrainedModel, rows: Sequence[RatedReply], seed: int, settings: RewardSettings | None = None
) -> RewardModel:
    """Train a head on the frozen `backbone`; normalised on the same replies.

    The same rows, backbone and seed give the same head.

    Raises:
        NotEnoughData: too few votes, or too few of one side.
    """
    settings = settings or RewardSettings()
    check_votes(rows, settings)
    torch.manual_seed(seed)
    features = _features(backbone, rows)
    head = RewardHead(feature_width(backbone), settings.hidden)
    head.standardise(*_moments(features))
    _train(head, features, rows, torch.Generator().manual_seed(seed), settings)
    model = RewardModel(backbone, head.eval())
    model.normalise(_logits(head, features, settings.batch_rows))
    return model


def measure(model: RewardModel, rows: Sequence[RatedReply]) -> RewardQuality:
    """Return how well the model foretells votes it was not fitted to."""
    probabilities = model.probabilities([row.prompt_ids for row in rows], [row.reply_ids for row in rows])
    ups = [row.target > 0.5 for row in rows]
    lengths = torch.tensor([float(len(row.reply_ids)) for row in rows])
    known = len(rows) > 2 and float(lengths.std()) > 0
    pair = torch.stack([torch.tensor(probabilities).logit(eps=1e-6), lengths])
    return RewardQuality(
        votes=len(rows),
        auc=roc_auc(probabilities, ups),
        calibration_error=float(expected_calibration_error(ups, probabilities)),
        length_correlation=float(torch.corrcoef(pair)[0, 1]) if known else 0.0,
    )


def check_votes(rows: Sequence[RatedReply], settings: RewardSettings) -> None:
    """Raise NotEnoughData, saying what there is and what it takes."""
    if len(rows) < settings.least_votes:
        raise NotEnoughData(f"{len(rows)} votes, it takes {settings.least_votes}: collect more feedback")
    ups = sum(row.target > 0.5 for row in rows)
    for side, count in (("up", ups), ("down", len(rows) - ups)):
        if count < settings.least_votes_of_a_side:
            thumbs = "thumb" if count == 1 else "thumbs"
            raise NotEnoughData(
                f"only {count} {thumbs} {side} of {len(rows)} votes, it takes {settings.least_votes_of_a_side}: "
                "there is nothing to tell good from bad by"
            )


def _features(backbone: PreTrainedModel, rows: Sequence[RatedReply]) -> list[Tensor]:
    """The features of each reply, (R, C), in half precision: they are kept for all votes at once."""
    kept = [torch.empty(0)] * len(rows)
    batches = featurise(backbone, [row.prompt_ids for row in rows], [row.reply_ids for row in rows])
    for indices, features_BRC, mask_BR in batches:
        for index, features_RC, mask_R in zip(indices, features_BRC, mask_BR, strict=True):
            kept[index] = features_RC[mask_R].half()
    return kept


def _padded(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Put the features of some replies side by side: float32 features_BRC and their mask_BR."""
    features_BRC = pad_sequence(list(features), batch_first=True).float()
    lengths_B1 = torch.tensor([[len(features_RC)] for features_RC in features])
    return features_BRC, torch.arange(features_BRC.shape[1]) < lengths_B1


@torch.no_grad()
def _logits(head: RewardHead, features: Sequence[Tensor], batch_rows: int) -> Tensor:
    """The head's logits of all replies, (N,), from the features that are there already."""
    starts = range(0, len(features), batch_rows)
    return torch.cat([head(*_padded(features[at : at + batch_rows])) for at in starts])


def _moments(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over a thousand replies' tokens."""
    tokens_NC = torch.cat(list(features[:: max(1, len(features) // 1000)])).float()
    return tokens_NC.mean(0), tokens_NC.std(0)


def _train(
    head: RewardHead,
    features: Sequence[Tensor],
    rows: Sequence[RatedReply],
    generator: torch.Generator,
    settings: RewardSettings,
) -> None:
    targets = torch.tensor([row.target for row in rows])
    weights = torch.tensor([row.weight for row in rows])
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    for update in range(settings.updates):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * 0.5 * (1 + cos(pi * update / settings.updates))
        index = torch.randint(len(rows), (settings.batch_rows,), generator=generator)
        logits_B = head(*_padded([features[i] for i in index.tolist()]))
        losses_B = F.binary_cross_entropy_with_logits(logits_B, targets[index], reduction="none")
        loss = (losses_B * weights[index]).sum() / weights[index].sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
