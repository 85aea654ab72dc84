"""Votes on served labels, as rows and as the columns that losses read.

Shape suffixes: N votes, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidData, NotEnoughData
from thumbwheel.ppo.vote_loss import VoteColumns
from thumbwheel.ppo.vote_reward import reward_of
from thumbwheel.records import ClassifyAnswer, Feedback, FeedbackKind


@dataclass(frozen=True, slots=True)
class ClassifyVote:
    """A label that was served, how likely every label was then, and what the vote on it says.

    `label` indexes the policy's labels and `probabilities` follows their order. `reward` in [-1, 1] is of the served
    label. `weight` scales the vote's share in the loss (for example 1 / P(rated), clipped, or a rater's trust); 1 is a
    plain vote.
    """

    text: str
    label: int
    probabilities: tuple[float, ...]
    reward: float
    weight: float = 1.0


def votes_of(rows: Iterable[SnapshotRow], labels: Sequence[str]) -> list[tuple[str, ClassifyVote]]:
    """(rater, vote) of each rater's most telling vote on learnable `classify` answers, in the policy's label order.

    Left out: answers whose probabilities may not enter a ratio, rankings, and answers of a version with other labels.
    """
    return [
        (vote.rater, ClassifyVote(answer.text, label, probabilities, reward, row.weight))
        for row in rows
        if isinstance(answer := row.response.answer, ClassifyAnswer) and sorted(answer.labels) == sorted(labels)
        for label, probabilities in [_in_order(answer, labels)]
        for vote in row.lessons
        if (reward := label_reward(vote, answer.label)) is not None
    ]


def label_reward(vote: Feedback, served: str) -> float | None:
    """What a vote says of the served label, in [-1, 1]; None for a ranking.

    A correction says whether it was right, also by a label of its own.
    """
    if vote.kind is FeedbackKind.EDIT and vote.edit:
        return 1.0 if vote.edit.label == served else -1.0
    return reward_of(vote)


def _in_order(answer: ClassifyAnswer, labels: Sequence[str]) -> tuple[int, tuple[float, ...]]:
    """The served label's index and all probabilities, by `labels` rather than by the answer's own order."""
    by_label = dict(zip(answer.labels, answer.probabilities, strict=True))
    return labels.index(answer.label), tuple(by_label[label] for label in labels)


def vote_columns(votes: Sequence[ClassifyVote], labels: int) -> VoteColumns:
    """Check the votes against a policy of `labels` labels and lay them out.

    The advantage is the raw reward in [-1, 1]: centring or whitening it costs accuracy.
    Raises NotEnoughData without votes, InvalidData for a row that can not be of this policy.
    """
    if not votes:
        raise NotEnoughData("there are no votes to learn from; collect some first")
    for row, vote in enumerate(votes):
        _check(row, vote, labels)
    return VoteColumns(
        labels_N=torch.tensor([vote.label for vote in votes]),
        logged_N=torch.tensor([math.log(vote.probabilities[vote.label]) for vote in votes]),
        advantages_N=torch.tensor([vote.reward for vote in votes]),
        weights_N=torch.tensor([vote.weight for vote in votes]),
    )


def _check(row: int, vote: ClassifyVote, labels: int) -> None:
    if len(vote.probabilities) != labels or not 0 <= vote.label < labels:
        raise InvalidData(f"votes[{row}]", f"it is not of this policy of {labels} labels; leave it out")
    if not 0 < vote.probabilities[vote.label] <= 1 + 1e-6:
        raise InvalidData(f"votes[{row}].probabilities", "the served label's must lie in (0, 1]; leave the vote out")
    if not -1 <= vote.reward <= 1:
        raise InvalidData(f"votes[{row}].reward", "must lie in [-1, 1]; leave the vote out")
    if not (vote.weight >= 0 and math.isfinite(vote.weight)):
        raise InvalidData(f"votes[{row}].weight", "must be finite and at least 0")
