"""The ground of policies that classify: a help desk whose users have matters of their own, and thumbs on its labels.

Shape suffixes: N answers, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from thumbwheel.drill.bench import Bench, days_ago_us
from thumbwheel.drill.voting import Served, vote_on
from thumbwheel.policy.classify import load_classifier, sample_labels
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import ClassifyAnswer
from thumbwheel.simulate.world import DESK_INTENTS, World

POLICY = "drill-intent"
_BATCH = 256


@dataclass(frozen=True, slots=True)
class LabelSize:
    """How large the ground is. The defaults take about half a minute on one core."""

    users: int = 100
    votes: int = 3_000
    texts: int = 900
    tests: int = 2_000
    labels_per_class: int = 5
    taught_per_class: int = 60
    recipe: ClassifyRecipe = ClassifyRecipe(
        vocabulary=1_200, width=64, feed_forward=64, least_updates=300, least_epochs=10
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A text of a user and its right label, as it is this month."""

    user: str
    text: str
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class LabelGround:
    """What planted classifiers grow on. `tests` are texts that nobody voted on, to know the truth by."""

    world: World
    seed: int
    size: LabelSize
    bench: Bench
    tests: Sequence[Asked]

    @property
    def floor(self) -> float:
        """The probability floor that labels are served with."""
        return self.bench.settings.classify.probability_floor

    def taught(self, folder: Path, renamed: Mapping[str, str] | None = None) -> None:
        """Write a classifier that was taught many labels; `renamed` gives what stood for a label when it was taught."""
        changed = renamed or {}
        rows = [
            LabelledText(one.text, changed.get(one.label, one.label))
            for one in _ask(self.world, self.size.users, self.size.texts, f"taught {self.seed}")
        ]
        _pretrain(rows, self.size, self.size.taught_per_class, self.seed, folder)

    def right(self, folder: Path) -> NDArray[np.float64]:
        """Probability with which a version serves the right label of each test, (N,)."""
        probs_NK, labels = served(folder, [one.text for one in self.tests], self.floor)
        return probs_NK[np.arange(len(self.tests)), [labels.index(one.label) for one in self.tests]]


def halves() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The matters of one half of the users, and of the other."""
    return DESK_INTENTS[::2], DESK_INTENTS[1::2]


def desk(seed: int) -> World:
    """The help desk of a drill."""
    return World(seed, DESK_INTENTS, typos=0.2)


def first_labels(world: World, seed: int, size: LabelSize, folder: Path) -> None:
    """Train a first policy on a few labels of each class."""
    rows = [LabelledText(one.text, one.label) for one in _ask(world, size.users, size.texts, f"first {seed}")]
    _pretrain(rows, size, size.labels_per_class, seed, folder)


def collect(world: World, seed: int, size: LabelSize, bench: Bench) -> LabelGround:
    """Let users ask the champion, and vote on what it says."""
    asked, rng = _ask(world, size.users, size.votes, f"asked {seed}"), Random(f"votes {seed}")
    floor = bench.settings.classify.probability_floor
    probs_NK, labels = served(bench.champion, [one.text for one in asked], floor)
    drawn = sample_labels(torch.from_numpy(probs_NK), torch.Generator().manual_seed(seed)).tolist()
    answered = [
        Served(
            one.user,
            ClassifyAnswer(one.text, label, labels[label], tuple(row.tolist()), floor, labels),
            float(labels[label] == one.label),
        )
        for one, label, row in zip(asked, drawn, probs_NK, strict=True)
    ]
    vote_on(bench.store, bench.ref, answered, days_ago_us(1.0), rng)
    return LabelGround(world, seed, size, bench, _ask(world, size.users, size.tests, f"tests {seed}"))


def served(folder: Path, texts: Sequence[str], floor: float) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """probs_NK as a version serves them, and its labels."""
    version = load_classifier(folder)
    parts = [version.probabilities(texts[at : at + _BATCH], floor) for at in range(0, len(texts), _BATCH)]
    return torch.cat(parts).double().numpy(), version.labels


def _ask(world: World, users: int, texts: int, name: str) -> list[Asked]:
    """Texts of users in turn, each about a matter of the user's half."""
    rng, made = Random(name), []
    for number in range(texts):
        user = number % users
        message = world.message(rng, rng.choice(halves()[user % 2]))
        made.append(Asked(f"user-{user:03}", message.text, message.intent))
    return made


def _pretrain(rows: Sequence[LabelledText], size: LabelSize, per_class: int, seed: int, folder: Path) -> None:
    pretrain_classify(rows, folder, replace(size.recipe, labels_per_class=per_class, seed=seed))
