"""What every vote ever given says of a text's label, beside PPO's objective: a likelihood, which needs no ratio.

PPO's clip lets a vote move the policy a little, once, while its version is near. What a user said of a label stands
longer. So each policy is also held to explain the votes on it and on its ancestors: if p is the probability it gives
the label, and e the share of votes that are wrong, a vote is up with probability

    u = e + (1 - 2 e) p

and the loss is its cross-entropy: the forward correction of Patrini et al. (2017), "Making deep neural networks robust
to label noise: a loss correction approach", eq. 6, for the two outcomes "right" and "wrong". A vote down says that the
label is another one (Yu et al. (2018), "Learning with biased complementary labels"), a vote up that it is this one. For
both the gradient fades where the policy has long been sure of the opposite: that vote is likelier to be a slip.

It supposes one right label a text. Which label was served by what chance has no part in it: the likelihood of votes
given the labels served is the same.

Shape suffixes: N votes, B votes of a slice, K labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidData
from thumbwheel.ppo.classify.votes import label_reward
from thumbwheel.ppo.metrics import Metrics
from thumbwheel.ppo.vote_updates import VoteLoss
from thumbwheel.records import ClassifyAnswer, Feedback


@dataclass(frozen=True, slots=True)
class PastVote:
    """What a vote said of a label for a text: `label` indexes the policy's labels, `reward` lies in [-1, 1]."""

    text: str
    label: int
    reward: float
    weight: float = 1.0


def past_votes_of(rows: Iterable[SnapshotRow], labels: Sequence[str]) -> list[tuple[str, PastVote]]:
    """(rater, vote) of each rater's most telling vote on answers whose label the policy still has.

    A correction is one more: a vote up on the label that it names.
    """
    places = {label: place for place, label in enumerate(labels)}
    return [
        (vote.rater, PastVote(answer.text, places[label], reward, row.weight))
        for row in rows
        if isinstance(answer := row.response.answer, ClassifyAnswer)
        for vote in row.lessons
        for label, reward in _said(vote, answer.label)
        if label in places
    ]


def _said(vote: Feedback, served: str) -> Iterator[tuple[str, float]]:
    """What a vote says of which labels."""
    if (reward := label_reward(vote, served)) is not None:
        yield served, reward
    if vote.edit and vote.edit.label not in ("", served):
        yield vote.edit.label, 1.0


def past_vote_loss(votes: Sequence[PastVote], labels: int, wrong: float) -> VoteLoss:
    """The mean weighted cross-entropy, in nats, as a function of logits; `wrong`: the share e, in (0, 1/2).

    A vote between up and down counts as that much of either. Raises InvalidData for a row that can not be of a policy
    of `labels` labels.
    """
    for row, vote in enumerate(votes):
        if not 0 <= vote.label < labels or not -1 <= vote.reward <= 1:
            raise InvalidData(f"past_votes[{row}]", f"it is not of this policy of {labels} labels; leave it out")
    labels_N = torch.tensor([vote.label for vote in votes], dtype=torch.long)
    shares_N = torch.tensor([(1 + vote.reward) / 2 for vote in votes])
    weights_N = torch.tensor([vote.weight for vote in votes])

    def loss(logits_BK: Tensor, rows_B: Tensor, count: int) -> tuple[Tensor, Metrics]:
        probs_B = logits_BK.softmax(-1).gather(1, labels_N[rows_B, None]).squeeze(1)
        up_B, share_B = wrong + (1 - 2 * wrong) * probs_B, shares_N[rows_B]
        nats_B = -(share_B * up_B.log() + (1 - share_B) * (1 - up_B).log())
        return (weights_N[rows_B] * nats_B).sum() / count, {}

    return loss
