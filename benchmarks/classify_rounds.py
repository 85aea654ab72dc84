"""Rounds of serving, voting and learning for `classify`, without the service around them: the learning alone.

In each round the champion answers texts drawn from the training rows by sampling with the probability floor,
simulated users give thumbs, and the next champion is made from that round's votes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch

from thumbwheel.policy.classify import likeliest_labels, load_classifier, sample_labels
from thumbwheel.ppo.classify import ClassifyPpoSettings, improve_classify
from thumbwheel.ppo.classify_baseline import supervise_on_thumbs_up
from thumbwheel.ppo.classify_votes import ClassifyVote
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.simulate.users import SimulatedUser, label_quality

BATCH = 256
METHODS = ("ppo", "thumbs-up")


@dataclass(frozen=True)
class Experiment:
    train: Sequence[LabelledText]
    held_out: Sequence[LabelledText]
    work: Path
    rounds: int
    votes_a_round: int
    user: SimulatedUser
    settings: ClassifyPpoSettings
    recipe: ClassifyRecipe

    def first(self) -> Path:
        """The first policy, from a few labels a class."""
        pretrain_classify(self.train, self.work / "first", self.recipe)
        return self.work / "first"

    def all_labels(self) -> float:
        """Accuracy of the same network when it is told the true label of every training row."""
        recipe = replace(self.recipe, labels_per_class=None, batch_size=64)
        pretrain_classify(self.train, self.work / "all", recipe)
        return accuracy(self.work / "all", self.held_out)

    def learn(self, method: str, first: Path, show: Callable[[str], None]) -> list[float]:
        """Held-out accuracy after every round of `method`."""
        champion, reached = first, []
        rng = Random(f"users {self.recipe.seed}")
        generator = torch.Generator().manual_seed(self.recipe.seed)
        for number in range(1, self.rounds + 1):
            votes = self._votes(champion, rng, generator)
            candidate = self.work / f"{method}-{number}"
            self._improve(method, champion, votes, candidate, number)
            if champion != first:
                shutil.rmtree(champion)
            champion = candidate
            reached.append(accuracy(champion, self.held_out))
            up = sum(vote.thumb_up for vote in votes) / len(votes)
            show(f"  {method} {number * self.votes_a_round:6d} votes  up {up:.3f}  accuracy {reached[-1]:.3f}")
        return reached

    def _votes(self, champion: Path, rng: Random, generator: torch.Generator) -> list[ClassifyVote]:
        """One round of served labels with their logged probabilities and thumbs."""
        classifier, floor = load_classifier(champion), self.settings.probability_floor
        asked = sorted(rng.choices(self.train, k=self.votes_a_round), key=lambda row: len(row.text))
        votes = []
        for start in range(0, len(asked), BATCH):
            rows = asked[start : start + BATCH]
            probs_BK = classifier.probabilities([row.text for row in rows], floor)
            drawn = sample_labels(probs_BK, generator).tolist()
            for row, label, probs in zip(rows, drawn, probs_BK.tolist(), strict=True):
                thumb = self.user.thumb(label_quality(classifier.labels[label], row.label), rng)
                if thumb is not None:
                    votes.append(ClassifyVote(row.text, label, tuple(probs), thumb))
        return votes

    def _improve(
        self, method: str, champion: Path, votes: Sequence[ClassifyVote], candidate: Path, number: int
    ) -> None:
        training = replace(self.settings.training, seed=self.recipe.seed * 1000 + number)
        checkpoint = self.work / "checkpoint"
        if method == "ppo":
            settings = replace(self.settings, training=training)
            improve_classify(champion, votes, candidate, checkpoint, settings)
        else:
            supervise_on_thumbs_up(champion, votes, candidate, checkpoint, training)


def accuracy(folder: Path, rows: Sequence[LabelledText]) -> float:
    """Share of `rows` whose likeliest label is the true one."""
    classifier, right = load_classifier(folder), 0
    ordered = sorted(rows, key=lambda row: len(row.text))
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        best = likeliest_labels(classifier.probabilities([row.text for row in batch], 0.0)).tolist()
        right += sum(classifier.labels[index] == row.label for index, row in zip(best, batch, strict=True))
    return right / len(rows)
