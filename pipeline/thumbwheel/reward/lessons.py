"""Lessons laid out for fitting: each is on one or more replies, which stand in slots, one after the other.

Shapes: N lessons, S slots of some lessons, B lessons of a batch, K members, M places of the longest ranking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thumbwheel.dataset.voice_limit import limit_voices, one_voice
from thumbwheel.reward.losses import ranking_loss, rating_loss, thumb_loss
from thumbwheel.reward.rated_reply import Lesson, RankedReplies, RatedReply


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The lessons' facts, (N,) each: thumbs have neither `ratings_N` nor `ordered_N`, which are 0 then.

    `starts` is each lesson's first slot, `places_N` how many it has. `folds_N` in [0, K): who is held out together.
    """

    starts: Sequence[int]
    places_N: Tensor
    targets_N: Tensor
    ratings_N: Tensor
    ordered_N: Tensor
    folds_N: Tensor

    @property
    def slots(self) -> int:
        """Slots of all lessons."""
        return self.starts[-1] + int(self.places_N[-1])

    def slots_of(self, lesson: int) -> range:
        """The slots of one lesson."""
        return range(self.starts[lesson], self.starts[lesson] + int(self.places_N[lesson]))


def columns(lessons: Sequence[Lesson], folds: Sequence[int]) -> Columns:
    """Lay the lessons out; there is at least one."""
    rated = [one if isinstance(one, RatedReply) else None for one in lessons]
    places = [len(one.replies) for one in lessons]
    return Columns(
        starts=[0, *accumulate(places)][:-1],
        places_N=torch.tensor(places),
        targets_N=torch.tensor([one.target if one else 0.0 for one in rated]),
        ratings_N=torch.tensor([one.rating if one else 0 for one in rated]),
        ordered_N=torch.tensor([one.ordered if isinstance(one, RankedReplies) else 0 for one in lessons]),
        folds_N=torch.tensor(folds),
    )


def raters_known(lessons: Sequence[Lesson]) -> int:
    """How many raters there are; 0 where one of the lessons may be anybody's."""
    raters = {one.rater for one in lessons}
    return 0 if "" in raters else len(raters)


def voice_weights(lessons: Sequence[Lesson]) -> NDArray[np.float64]:
    """How much each lesson counts, (N,): its weight, less where its rater says it again or has much of the say.

    A thumb and stars on one reply are one judgement. Limits as in `dataset/voice_limit.py`, where raters are known.
    """
    raters = [one.rater for one in lessons]
    said = one_voice(raters, [(one.prompt_ids, one.replies) for one in lessons])
    return limited(np.array([one.weight for one in lessons]) * said, lessons)


def limited(weights_N: NDArray[np.float64], lessons: Sequence[Lesson]) -> NDArray[np.float64]:
    """The weights, none of the few with much of the say; as they are where a lesson may be anybody's."""
    return limit_voices(weights_N, [one.rater for one in lessons]) if raters_known(lessons) else weights_N


def folds_by_rater(lessons: Sequence[Lesson], folds: int) -> list[int]:
    """Return a fold of each lesson, in [0, folds): all of one rater in one, and folds of like size.

    So who is held out has not been learned from. Where somebody's rater is not known, lessons are dealt out one by one.
    """
    counts = Counter(one.rater for one in lessons)
    if not raters_known(lessons):
        return [index % folds for index in range(len(lessons))]
    sizes, home = [0] * folds, dict[str, int]()
    for rater in sorted(counts, key=lambda name: (-counts[name], name)):
        home[rater] = min(range(folds), key=sizes.__getitem__)
        sizes[home[rater]] += counts[rater]
    return [home[one.rater] for one in lessons]


def losses(logits_SK: Tensor, cuts_KL: Tensor, batch: Tensor, facts: Columns) -> Tensor:
    """Return each member's loss on each lesson of a batch, (B, K).

    `logits_SK` are those of the batch's slots, in its order; `batch` has the lessons' numbers, (B,).
    """
    starts_B = torch.cat([torch.zeros(1, dtype=torch.long), facts.places_N[batch].cumsum(0)[:-1]])
    out_BK = torch.zeros(len(batch), logits_SK.shape[1])
    is_order_B, is_rating_B = facts.ordered_N[batch] > 0, facts.ratings_N[batch] > 0
    for which_B, of in ((~is_order_B & ~is_rating_B, _thumbs), (is_rating_B, _ratings), (is_order_B, _orders)):
        if bool(which_B.any()):
            rows = which_B.nonzero().squeeze(-1)
            out_BK = out_BK.index_copy(0, rows, of(logits_SK, cuts_KL, starts_B[rows], batch[rows], facts))
    return out_BK


def _thumbs(logits_SK: Tensor, cuts_KL: Tensor, starts_B: Tensor, batch: Tensor, facts: Columns) -> Tensor:
    return thumb_loss(logits_SK[starts_B], facts.targets_N[batch].unsqueeze(-1))


def _ratings(logits_SK: Tensor, cuts_KL: Tensor, starts_B: Tensor, batch: Tensor, facts: Columns) -> Tensor:
    ratings_B = facts.ratings_N[batch]
    each = [
        rating_loss(logits_S, ratings_B, cuts_L)
        for logits_S, cuts_L in zip(logits_SK[starts_B].T, cuts_KL, strict=True)
    ]
    return torch.stack(each, dim=-1)


def _orders(logits_SK: Tensor, cuts_KL: Tensor, starts_B: Tensor, batch: Tensor, facts: Columns) -> Tensor:
    places_B, ordered_B = facts.places_N[batch], facts.ordered_N[batch]
    slots_BM = (starts_B.unsqueeze(-1) + torch.arange(int(places_B.max()))).clamp(max=len(logits_SK) - 1)
    each = [ranking_loss(logits_S[slots_BM], places_B, ordered_B) for logits_S in logits_SK.T]
    return torch.stack(each, dim=-1)
