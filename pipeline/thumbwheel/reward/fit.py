"""Fit the reward head to votes.

Several workers (`workers/port.py`) each read their own share of the replies, and of every batch those that they have.

Shapes: N tokens or replies, B replies of a batch, R longest reply, C features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, add_up_gradients, share

# About as many replies are enough to say how features are spread.
_MOMENT_REPLIES = 1000


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


Features = Mapping[int, Tensor]
"""By the number of a reply: the features of its tokens, (R, C)."""


def fit(
    backbone: PreTrainedModel,
    rows: Sequence[RatedReply],
    seed: int,
    settings: RewardSettings | None = None,
    workers: Workers | None = None,
) -> RewardModel:
    """Train a head on the frozen `backbone`; normalised on the same replies.

    The same rows, backbone, seed and number of workers give the same head, on each of them.

    Raises:
        NotEnoughData: too few votes, or too few of one side.
    """
    settings, workers = settings or RewardSettings(), workers or Alone()
    check_votes(rows, settings)
    torch.manual_seed(seed)
    features = _features(backbone, rows, share(range(len(rows)), workers))
    head = RewardHead(feature_width(backbone), settings.hidden)
    head.standardise(*_moments(features, len(rows), feature_width(backbone), workers))
    _train(head, features, rows, torch.Generator().manual_seed(seed), settings, workers)
    model = RewardModel(backbone, head.eval())
    model.normalise(_logits(head, features, len(rows), settings.batch_rows, workers))
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


def _features(backbone: PreTrainedModel, rows: Sequence[RatedReply], mine: Sequence[int]) -> Features:
    """Those of this worker's replies, in half precision: they are kept for all of them at once."""
    kept: dict[int, Tensor] = {}
    batches = featurise(backbone, [rows[i].prompt_ids for i in mine], [rows[i].reply_ids for i in mine])
    for places, features_BRC, mask_BR in batches:
        for place, features_RC, mask_R in zip(places, features_BRC, mask_BR, strict=True):
            kept[mine[place]] = features_RC[mask_R].half()
    return kept


def _padded(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Put the features of some replies side by side: float32 features_BRC and their mask_BR."""
    features_BRC = pad_sequence(list(features), batch_first=True).float()
    lengths_B1 = torch.tensor([[len(features_RC)] for features_RC in features])
    return features_BRC, torch.arange(features_BRC.shape[1]) < lengths_B1


@torch.no_grad()
def _logits(head: RewardHead, features: Features, replies: int, batch_rows: int, workers: Workers) -> Tensor:
    """The head's logits of all replies, (N,), from the features that are there already."""
    logits_N, mine = torch.zeros(replies), sorted(features)
    for at in range(0, len(mine), batch_rows):
        index = mine[at : at + batch_rows]
        logits_N[index] = head(*_padded([features[i] for i in index]))
    workers.add_up(logits_N)
    return logits_N


def _moments(features: Features, replies: int, width: int, workers: Workers) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over the tokens of some replies of all workers, (C,) each."""
    chosen = range(0, replies, max(1, replies // _MOMENT_REPLIES))
    tokens_NC = torch.cat([torch.zeros(0, width), *(features[i].double() for i in chosen if i in features)])
    count, mean_C = torch.tensor(float(len(tokens_NC))), tokens_NC.sum(0)
    workers.add_up(count, mean_C)
    mean_C /= count
    squares_C = ((tokens_NC - mean_C) ** 2).sum(0)
    workers.add_up(squares_C)
    return mean_C.float(), (squares_C / (count - 1)).sqrt().float()


def _train(
    head: RewardHead,
    features: Features,
    rows: Sequence[RatedReply],
    generator: torch.Generator,
    settings: RewardSettings,
    workers: Workers,
) -> None:
    targets = torch.tensor([row.target for row in rows])
    weights = torch.tensor([row.weight for row in rows])
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    for update in range(settings.updates):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * 0.5 * (1 + cos(pi * update / settings.updates))
        index = torch.randint(len(rows), (settings.batch_rows,), generator=generator)
        optimizer.zero_grad()
        if mine := [i for i in index.tolist() if i in features]:
            logits_B = head(*_padded([features[i] for i in mine]))
            losses_B = F.binary_cross_entropy_with_logits(logits_B, targets[mine], reduction="none")
            loss = (losses_B * weights[mine]).sum() / weights[index].sum()
            loss.backward()  # type: ignore[no-untyped-call]
        add_up_gradients(head.parameters(), workers)
        optimizer.step()
