"""Fit the reward heads to votes of every kind.

Several workers (`workers/port.py`) each read the replies of their own share of the lessons, and of every batch those
that they have.

Shapes: N tokens or lessons, S slots (the replies of lessons), B lessons of a batch, R longest reply, C features,
K members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import cos, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.errors import NotEnoughData
from thumbwheel.reward.calibration import Calibration, calibrate, expected_calibration_error, of_the_mean, roc_auc
from thumbwheel.reward.features import Readout, feature_width, featurise, read
from thumbwheel.reward.head import RewardHead
from thumbwheel.reward.lessons import (
    Columns,
    columns,
    folds_by_rater,
    limited,
    losses,
    raters_known,
    voice_weights,
)
from thumbwheel.reward.model import RewardModel
from thumbwheel.reward.rated_reply import UNDECIDED, Lesson, RankedReplies, RatedReply, decided
from thumbwheel.reward.trust import RaterTrust, rater_trust
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers, add_up_gradients, share

# About as many lessons are enough to say how features are spread, and replies of the reference how scores are.
_MOMENT_LESSONS = 1000
_LEAST_REFERENCE = 100


@dataclass(frozen=True, slots=True)
class RewardSettings:
    """How the heads are trained. Few votes need as many `updates` as many do: 1,000 votes, 10 passes are too few.

    `members` heads, at least 2 and no more than there are raters, each of which learns nothing of one part of the
    raters: somebody must be left to judge by. `caution`: see `RewardModel`. `trust`: weigh raters by how they go along
    with others, from half of the updates on. `readouts`: the first that foretells votes best, of raters it has not
    learned from, is taken.
    """

    updates: int = 450
    batch_rows: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    hidden: int = 64
    members: int = 3
    caution: float = 0.5
    trust: bool = True
    readouts: tuple[Readout, ...] = (Readout.SURPRISE, Readout.POOLED)
    least_votes: int = 200
    least_votes_of_a_side: int = 20

    def __post_init__(self) -> None:
        """Refuse a single head: it learns from everybody, and what is then told of left-out votes is not true."""
        if self.members < 2:
            raise ValueError(f"members must be at least 2, got {self.members}")


@dataclass(frozen=True, slots=True)
class RewardQuality:
    """The reward model on votes it has not seen. `auc` and `calibration_error` are NaN when one side is empty.

    `length_correlation` is Pearson's, between score and number of tokens: far from 0, it pays for length. `accuracy` is
    the share of votes foretold at a probability of 1/2, `majority` that of who always says what most say.
    """

    votes: int
    auc: float
    calibration_error: float
    length_correlation: float
    accuracy: float
    majority: float


Features = Mapping[int, Tensor]
"""By slot: the features of its reply's tokens, (R, C)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """What every head is fitted to. `apart`: each knows nothing of the raters of its fold, for they are known."""

    lessons: Sequence[Lesson]
    facts: Columns
    apart: bool
    mine: frozenset[int]
    settings: RewardSettings
    workers: Workers
    seed: int


def fit(
    backbone: PreTrainedModel,
    rows: Sequence[Lesson],
    seed: int,
    settings: RewardSettings | None = None,
    workers: Workers | None = None,
    reference: str = "",
) -> RewardModel:
    """Train heads on the frozen `backbone`; normalised on the replies of version `reference`, or, of few, on all.

    The same rows, backbone, seed and number of workers give the same heads, on each of them. Where a rater is not
    known, heads can not be kept apart by raters: nobody is weighed by trust then, and nothing is calibrated.

    Raises:
        NotEnoughData: too few votes, too few of one side, or of one rater only.
    """
    settings, workers = settings or RewardSettings(), workers or Alone()
    check_votes(rows, settings)
    raters = raters_known(rows)
    settings = replace(settings, members=min(settings.members, raters or settings.members))
    torch.manual_seed(seed)
    facts = columns(rows, folds_by_rater(rows, settings.members))
    mine = share(range(len(rows)), workers)
    work = _Fit(rows, facts, raters > 0, frozenset(mine), settings, workers, seed)
    features = _features(backbone, rows, facts, mine)
    weights_N = torch.tensor(voice_weights(rows), dtype=torch.float32)
    trust, best, aucs = RaterTrust(), None, dict[str, float]()
    for readout in settings.readouts:
        seen = {slot: read(features_RC, readout) for slot, features_RC in features.items()}
        head = RewardHead(feature_width(backbone, readout), settings.hidden, settings.members)
        if best is None:
            trust, weights_N = _train_and_trust(head, seen, weights_N, work)
        else:
            _prepare(head, seen, work)
            _train(head, seen, weights_N, work, range(settings.updates))
        logits_SK = _logits(head.eval(), seen, work)
        aucs[readout.value] = _left_out_auc(logits_SK, work)
        if best is None or aucs[readout.value] > aucs[best[1].value]:
            best = head, readout, logits_SK
    assert best is not None
    return _model(backbone, best, work, reference, {"left_out_auc": aucs, "trust": trust.figures()})


def measure(model: RewardModel, rows: Sequence[RatedReply]) -> RewardQuality:
    """Return how well the model foretells votes it was not fitted to; those that take no side are left out."""
    rows = decided(rows)
    probabilities = model.probabilities([row.prompt_ids for row in rows], [row.reply_ids for row in rows])
    ups = [row.target > 0.5 for row in rows]
    lengths = torch.tensor([float(len(row.reply_ids)) for row in rows])
    known = len(rows) > 2 and float(lengths.std()) > 0
    pair = torch.stack([torch.tensor(probabilities, dtype=torch.float32).logit(eps=1e-6), lengths])
    share_up = sum(ups) / max(1, len(ups))
    return RewardQuality(
        votes=len(rows),
        auc=roc_auc(probabilities, ups),
        calibration_error=float(expected_calibration_error(ups, probabilities)) if rows else float("nan"),
        length_correlation=float(torch.corrcoef(pair)[0, 1]) if known else 0.0,
        accuracy=sum((p > 0.5) == up for p, up in zip(probabilities, ups, strict=True)) / max(1, len(ups)),
        majority=max(share_up, 1 - share_up),
    )


def check_votes(rows: Sequence[Lesson], settings: RewardSettings) -> None:
    """Raise NotEnoughData, saying what there is and what it takes. A ranking, or an edit, has both sides in it."""
    if len(rows) < settings.least_votes:
        raise NotEnoughData(f"{len(rows)} votes, it takes {settings.least_votes}: collect more feedback")
    orders = sum(isinstance(row, RankedReplies) for row in rows)
    rated = [row for row in rows if isinstance(row, RatedReply)]
    if rated and not orders and not decided(rated):
        raise NotEnoughData(f"all {len(rows)} votes are 3 of 5 stars: there is nothing to tell good from bad by")
    ups = sum(row.target > UNDECIDED for row in rated)
    downs = sum(row.target < UNDECIDED for row in rated)
    for name, count in (("up", ups + orders), ("down", downs + orders)):
        if count < settings.least_votes_of_a_side:
            thumbs = "thumb" if count == 1 else "thumbs"
            raise NotEnoughData(
                f"only {count} {thumbs} {name} of {len(rows)} votes, it takes {settings.least_votes_of_a_side}: "
                "there is nothing to tell good from bad by"
            )
    raters = {row.rater for row in rows}
    if len(raters) == 1 and raters != {""}:
        raise NotEnoughData(f"all {len(rows)} votes are one rater's: it takes a second, to tell taste from quality")


def _features(backbone: PreTrainedModel, rows: Sequence[Lesson], facts: Columns, mine: Sequence[int]) -> Features:
    """Those of this worker's replies, each read once, in half precision: they are kept for all of them at once."""
    slots: dict[tuple[Sequence[int], Sequence[int]], list[int]] = {}
    for lesson in mine:
        for slot, reply in zip(facts.slots_of(lesson), rows[lesson].replies, strict=True):
            slots.setdefault((rows[lesson].prompt_ids, reply), []).append(slot)
    kept: dict[int, Tensor] = {}
    texts = list(slots)
    for places, features_BRC, mask_BR in featurise(backbone, [p for p, _ in texts], [r for _, r in texts]):
        for place, features_RC, mask_R in zip(places, features_BRC, mask_BR, strict=True):
            kept |= dict.fromkeys(slots[texts[place]], features_RC[mask_R].half())
    return kept


def _flat(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The features of some replies one after the other, float32 (N, C), and how many tokens each has."""
    return torch.cat(list(features)).float(), torch.tensor([len(features_RC) for features_RC in features])


@torch.no_grad()
def _logits(head: RewardHead, features: Features, work: _Fit) -> Tensor:
    """The logits of all slots, (S, K), from the features that are there already."""
    logits_SK, slots = torch.zeros(work.facts.slots, head.members), sorted(features)
    for at in range(0, len(slots), work.settings.batch_rows):
        index = slots[at : at + work.settings.batch_rows]
        logits_SK[index] = head.of_tokens(*_flat([features[slot] for slot in index]))
    work.workers.add_up(logits_SK)
    return logits_SK


def _prepare(head: RewardHead, features: Features, work: _Fit) -> None:
    """Standardise by mean and standard deviation over the tokens of some lessons of all workers."""
    chosen = range(0, len(work.lessons), max(1, len(work.lessons) // _MOMENT_LESSONS))
    mine = [features[slot] for lesson in chosen if lesson in work.mine for slot in work.facts.slots_of(lesson)]
    tokens_NC = torch.cat([torch.zeros(0, head.token.in_features), *mine]).double()
    count, mean_C = torch.tensor(float(len(tokens_NC))), tokens_NC.sum(0)
    work.workers.add_up(count, mean_C)
    mean_C /= count
    squares_C = ((tokens_NC - mean_C) ** 2).sum(0)
    work.workers.add_up(squares_C)
    head.standardise(mean_C.float(), (squares_C / (count - 1).clamp(min=1)).sqrt().float())


def _train_and_trust(head: RewardHead, features: Features, weights_N: Tensor, work: _Fit) -> tuple[RaterTrust, Tensor]:
    """Train; half-way, weigh each lesson by its rater's trust. Returns it, and the weights."""
    _prepare(head, features, work)
    if not work.settings.trust or not work.apart:
        _train(head, features, weights_N, work, range(work.settings.updates))
        return RaterTrust(), weights_N
    half = work.settings.updates // 2
    optimizer = _train(head, features, weights_N, work, range(half))
    estimates = _left_out(_logits(head, features, work), work)
    trust = rater_trust(work.lessons, estimates, weights_N.double().numpy())
    trusted_N = weights_N.double().numpy() * np.array([trust.of(lesson) for lesson in work.lessons])
    weights_N = torch.tensor(limited(trusted_N, work.lessons), dtype=torch.float32)
    _train(head, features, weights_N, work, range(half, work.settings.updates), optimizer)
    return trust, weights_N


def _train(
    head: RewardHead,
    features: Features,
    weights_N: Tensor,
    work: _Fit,
    updates: range,
    optimizer: torch.optim.Optimizer | None = None,
) -> torch.optim.Optimizer:
    """Take some of the updates; each member leaves out the lessons of its fold."""
    settings, members_K = work.settings, torch.arange(head.members)
    generator = torch.Generator().manual_seed(work.seed + updates.start)
    optimizer = optimizer or torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    for update in updates:
        optimizer.param_groups[0]["lr"] = settings.learning_rate * 0.5 * (1 + cos(pi * update / settings.updates))
        index_B = torch.randint(len(work.lessons), (settings.batch_rows,), generator=generator)
        learns_BK = work.facts.folds_N[index_B].unsqueeze(-1) != members_K
        weights_BK = weights_N[index_B].unsqueeze(-1) * learns_BK
        optimizer.zero_grad()
        if mine := [at for at, lesson in enumerate(index_B.tolist()) if lesson in work.mine]:
            here_B = index_B[mine]
            slots = [slot for lesson in here_B.tolist() for slot in work.facts.slots_of(lesson)]
            logits_SK = head.of_tokens(*_flat([features[slot] for slot in slots]))
            losses_BK = losses(logits_SK, head.cuts_KL(), here_B, work.facts)
            share_BK = weights_BK[mine] / weights_BK.sum(0).clamp(min=1e-6)
            (losses_BK * share_BK).sum().backward()  # type: ignore[no-untyped-call]
        add_up_gradients(head.parameters(), work.workers)
        optimizer.step()
    return optimizer


def _left_out(logits_SK: Tensor, work: _Fit) -> list[Any]:
    """For each lesson the logits of its replies by the member that has learned nothing of its fold."""
    folds = work.facts.folds_N.tolist()
    columns_KS = logits_SK.double().T.numpy()
    return [
        columns_KS[fold][work.facts.starts[lesson] : work.facts.starts[lesson] + len(row.replies)]
        for lesson, (row, fold) in enumerate(zip(work.lessons, folds, strict=True))
    ]


def _left_out_votes(logits_SK: Tensor, work: _Fit) -> tuple[list[float], list[bool]]:
    """Logits and sides of the votes that take one, each by the member that has not learned from its fold."""
    pairs = [
        (float(logits[0]), lesson.target > 0.5)
        for lesson, logits in zip(work.lessons, _left_out(logits_SK, work), strict=True)
        if isinstance(lesson, RatedReply) and lesson.decided
    ]
    return [logit for logit, _ in pairs], [up for _, up in pairs]


def _left_out_auc(logits_SK: Tensor, work: _Fit) -> float:
    """AUC of votes on members that have not learned from their folds; of rankings, the share of first above last."""
    logits, ups = _left_out_votes(logits_SK, work)
    orders = [
        float(estimate[0] > estimate[-1])
        for lesson, estimate in zip(work.lessons, _left_out(logits_SK, work), strict=True)
        if isinstance(lesson, RankedReplies)
    ]
    auc = roc_auc(logits, ups)
    return auc if not np.isnan(auc) else float(np.mean(orders)) if orders else 0.5


def _calibration(logits_SK: Tensor, work: _Fit) -> Calibration:
    """Fitted to single members, since of every vote only one knows nothing, and carried over to their mean."""
    voted = [
        work.facts.starts[at]
        for at, lesson in enumerate(work.lessons)
        if isinstance(lesson, RatedReply) and lesson.decided
    ]
    return of_the_mean(calibrate(*_left_out_votes(logits_SK, work)), logits_SK[voted].numpy())


def _model(
    backbone: PreTrainedModel,
    best: tuple[RewardHead, Readout, Tensor],
    work: _Fit,
    reference: str,
    told: Mapping[str, Any],
) -> RewardModel:
    """The chosen head, calibrated on votes of raters that its members have not learned from, and normalised."""
    head, readout, logits_SK = best
    calibration = _calibration(logits_SK, work) if work.apart else Calibration()
    model = RewardModel(backbone, head, caution=work.settings.caution, calibration=calibration, readout=readout)
    model.told = {**told, "readout": readout.value, "apart": work.apart, "temperature": calibration.temperature}
    served = [
        work.facts.starts[at]
        for at, lesson in enumerate(work.lessons)
        if isinstance(lesson, RatedReply) and lesson.learnable and lesson.version == reference
    ]
    model.normalise(logits_SK[served] if len(served) >= _LEAST_REFERENCE else logits_SK)
    return model
