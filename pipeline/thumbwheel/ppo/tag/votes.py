"""Votes on served tags, as rows and as the columns that losses read.

Shape suffixes: W words of one text, P words of all votes one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidData, NotEnoughData
from thumbwheel.ppo.vote_loss import VoteColumns
from thumbwheel.ppo.vote_reward import reward_of
from thumbwheel.pretrain.corpus import TaggedWords
from thumbwheel.records import Feedback, FeedbackKind, TagAnswer


@dataclass(frozen=True, slots=True)
class TagVote:
    """Tags that were served for a text's words, how likely every tag was then, and what the vote on them says.

    `tags` index the policy's labels and each row of `probabilities` follows their order. `reward` in [-1, 1] is of the
    whole text. `corrected` are the right tags where the vote is an edit, else empty. `weight` scales the vote's share
    in the loss; 1 is a plain vote.
    """

    tokens: tuple[str, ...]
    tags: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]
    reward: float
    corrected: tuple[int, ...] = ()
    weight: float = 1.0

    @property
    def served(self) -> tuple[float, ...]:
        """How likely each served tag was."""
        return tuple(row[tag] for row, tag in zip(self.probabilities, self.tags, strict=True))

    @property
    def word_rewards(self) -> tuple[float, ...]:
        """What the vote says of each word, its advantage: of an edit +1 or -1, of any other vote the text's reward."""
        if not self.corrected:
            return (self.reward,) * len(self.tags)
        return tuple(1.0 if tag == right else -1.0 for tag, right in zip(self.tags, self.corrected, strict=True))


def votes_of(rows: Iterable[SnapshotRow], labels: Sequence[str]) -> list[tuple[str, TagVote]]:
    """(rater, vote) of each rater's most telling vote on learnable `tag` answers, in the order of `labels`.

    Left out: answers whose probabilities may not enter a ratio, those of a version with other labels, and edits that
    don't fit their answer.
    """
    return list(_votes(rows, labels))


def corrected_texts(rows: Iterable[SnapshotRow], labels: Sequence[str]) -> list[TaggedWords]:
    """Texts with their tags as users corrected them; edits that don't fit their text or the policy are left out."""
    return [
        TaggedWords(answer.tokens, vote.edit.tags)
        for row in rows
        if isinstance(answer := row.response.answer, TagAnswer)
        for vote in row.lessons
        if vote.edit and len(vote.edit.tags) == len(answer.tokens) and set(vote.edit.tags) <= set(labels)
    ]


def vote_columns(votes: Sequence[TagVote], labels: int) -> VoteColumns:
    """Check the votes against a policy of `labels` labels and lay their words out, (P,).

    The advantage is the raw reward in [-1, 1], of a text on each of its words alike.
    Raises NotEnoughData without votes, InvalidData for a row that can not be of this policy.
    """
    if not votes:
        raise NotEnoughData("there are no votes to learn from; collect some first")
    for row, vote in enumerate(votes):
        _check(row, vote, labels)
    return VoteColumns(
        labels_N=torch.tensor([tag for vote in votes for tag in vote.tags]),
        logged_N=torch.tensor([math.log(p) for vote in votes for p in vote.served]),
        advantages_N=torch.tensor([advantage for vote in votes for advantage in vote.word_rewards]),
        weights_N=torch.tensor([vote.weight for vote in votes for _ in vote.tags]),
    )


def _votes(rows: Iterable[SnapshotRow], labels: Sequence[str]) -> Iterator[tuple[str, TagVote]]:
    for row in rows:
        answer = row.response.answer
        if not isinstance(answer, TagAnswer) or sorted(answer.labels) != sorted(labels):
            continue
        order = [answer.labels.index(label) for label in labels]
        tags = tuple(labels.index(tag) for tag in answer.tags)
        probabilities = tuple(tuple(word[index] for index in order) for word in answer.rows)
        for vote in row.lessons:
            said = _said(vote, tags, labels)
            if said is not None:
                yield vote.rater, TagVote(answer.tokens, tags, probabilities, *said, row.weight)


def _said(vote: Feedback, tags: tuple[int, ...], labels: Sequence[str]) -> tuple[float, tuple[int, ...]] | None:
    """The vote's reward of the whole text, and the right tags if it tells them; None for an edit that doesn't fit."""
    if vote.kind is not FeedbackKind.EDIT:
        reward = reward_of(vote)
        return None if reward is None else (reward, ())
    given = vote.edit.tags if vote.edit else ()
    if len(given) != len(tags) or not set(given) <= set(labels):
        return None
    right = tuple(labels.index(tag) for tag in given)
    return (1.0 if right == tags else -1.0), right


def _check(row: int, vote: TagVote, labels: int) -> None:
    words = len(vote.tokens)
    if not words or {words} != {len(vote.tags), len(vote.probabilities), len(vote.corrected) or words}:
        raise InvalidData(f"votes[{row}].tags", "there must be one for each token; leave the vote out")
    if any(len(word) != labels for word in vote.probabilities) or not all(0 <= tag < labels for tag in vote.tags):
        raise InvalidData(f"votes[{row}]", f"it is not of this policy of {labels} labels; leave it out")
    if not all(0 < p <= 1 + 1e-6 for p in vote.served):
        raise InvalidData(f"votes[{row}].probabilities", "the served tags' must lie in (0, 1]; leave the vote out")
    if not (vote.weight >= 0 and math.isfinite(vote.weight)):
        raise InvalidData(f"votes[{row}].weight", "must be finite and at least 0")
