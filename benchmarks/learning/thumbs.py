"""Thumbs on real labels: how much of what true labels teach do votes teach, and is there something better to do?

A life begins with a first policy from a few labels a class, answers questions drawn from its part of the data, is voted
on and learns in rounds, as the product does it (`classify_rounds.py`: the production learner, users held out, the
newest votes left out). It is measured on texts that nobody learns from. Beside it, from the same start and the same
users: supervision on the thumbs-up alone, the same network told every true label, and Vowpal Wabbit.

Test texts are a fifth of the file, drawn by the seed. Settings were chosen on a fifth of the rest, with other seeds
(`tuning`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random

import torch
from transformers.utils import logging

from classify_rounds import Crowd, Life, People, Rounds, Task, accuracy
from learning.piece import Absent, Found, Place
from learning.text_table import HOW_TO_GET, Table, encoder_folder, pretrain_on, vectors_of
from learning.voters import DriftingTaste, FewVotes, Stars, UnequalNoise
from learning.vowpal import Course, Explorer, curve_of
from learning.vowpal import installed as vowpal_installed
from thumbwheel.config.settings import Learn, Settings
from thumbwheel.pretrain.classify import ClassifyRecipe, deal_seed_labels, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText, read_labelled

FILES = {"banking77": "train.jsonl", "clinc150": "train.jsonl", "thucnews_titles_zh": "dev.jsonl"}
NETWORKS = ("encoder", "scratch")
LOOKS = (1_000, 3_000, 10_000, 30_000)
LABELS_A_CLASS = 5
PPO, THUMBS_UP, ALL_THUMBS_UP, ALL_LABELS = "ppo", "thumbs-up", "thumbs-up of any age", "all true labels"
SQUARECB, SOFTMAX = "Vowpal Wabbit, squarecb", "Vowpal Wabbit, softmax"

RECIPES: Mapping[str, ClassifyRecipe] = {
    "encoder": ClassifyRecipe(learning_rate=1e-3, pooled_dropout=0.3),
    "scratch": ClassifyRecipe(),
}
"""How first policies, and the network that is told all labels, are trained."""

LEARN: Mapping[str, Mapping[str, float]] = {
    "encoder": {"classify_learning_rate": 1e-3, "classify_epochs": 20},
    "scratch": {"classify_learning_rate": 1e-3, "classify_epochs": 10},
}
"""What runs are set to, chosen by `tuning`; from scratch with half the usual passes, for the sake of time."""

EXPLORERS: Mapping[tuple[str, str], Explorer] = {
    (SQUARECB, "encoder"): Explorer("--squarecb --gamma_scale 100", 2.0),
    (SQUARECB, "scratch"): Explorer("--squarecb --gamma_scale 100", 2.0),
    (SOFTMAX, "encoder"): Explorer("--softmax --lambda 20 --epsilon 0.02", 2.0),
    (SOFTMAX, "scratch"): Explorer("--softmax --lambda 20 --epsilon 0.02", 2.0),
}
"""What Vowpal Wabbit is set to, chosen by `tuning` as well."""


@dataclass(frozen=True)
class Setting:
    """One way in which users vote."""

    title: str
    votes_a_round: int = 1_000
    labels_a_class: int = LABELS_A_CLASS


SETTINGS: Mapping[str, Setting] = {
    "plain": Setting("a tenth of the thumbs wrong"),
    "noisy": Setting("a fifth of the thumbs wrong"),
    "cold": Setting("no seed labels", labels_a_class=0),
    "unequal": Setting("thumbs on a third of the labels wrong in 30 %, on the others in none"),
    "drift": Setting("from half way on other labels are wanted for a fifth of them"),
    "few": Setting("votes on 5 % of the answers", votes_a_round=5_000),
    "stars": Setting("1-5 stars instead of thumbs"),
}


@dataclass(frozen=True)
class Split:
    """Texts to learn on and to measure on, and the labels there are."""

    train: Sequence[LabelledText]
    held_out: Sequence[LabelledText]
    labels: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Thumbs:
    """One life, or one reference, of one seed. `most_rows` > 0 makes it small; `learn` and `flags` are for tuning."""

    data: str
    network: str
    method: str
    setting: str
    seed: int
    votes: int = LOOKS[-1]
    votes_a_round: int = 0
    """0: what the setting has."""
    most_rows: int = 0
    validation: bool = False
    learn: tuple[tuple[str, float], ...] = ()
    explorer: Explorer | None = None

    @property
    def name(self) -> str:
        """A line of progress."""
        told = ", ".join(f"{name} {value:g}" for name, value in self.learn)
        tuned = f", {told}" if told else f", {self.explorer}" if self.explorer else ""
        return f"{self.data}, {self.network}, {self.setting}, {self.method}, seed {self.seed}{tuned}"

    def run(self, place: Place) -> Found:
        """Held-out accuracies, by answers given (`at`), or of all true labels; 0 answers: the first policy's."""
        split = self._split(place)
        table = self._table(place)
        with tempfile.TemporaryDirectory(prefix="thumbwheel-thumbs-") as work:
            reached = self._reached(split, table, Path(work))
        told = " ".join(f"{votes}: {value:.3f}" for votes, value in reached.items())
        return {"at": {str(votes): value for votes, value in reached.items()}, "told": told}

    def _reached(self, split: Split, table: Table | None, work: Path) -> dict[int, float]:
        if self.method == ALL_LABELS:
            return {0: self._task(self._wanted(split), table, work).all_labels()}
        if self.method in (SQUARECB, SOFTMAX):
            return self._bandit(split, table)
        return self._life(split, table, work)

    @property
    def _looks(self) -> list[int]:
        return sorted({*(look for look in LOOKS if look < self.votes), self.votes})

    def _life(self, split: Split, table: Table | None, work: Path) -> dict[int, float]:
        logging.disable_progress_bar()
        each = self.votes_a_round or SETTINGS[self.setting].votes_a_round
        settings = Settings(learn=Learn.model_validate({**LEARN[self.network], **dict(self.learn)}))
        rounds = Rounds(self.votes // each, each, 0.0, settings, people=self._people(split))
        task, late = self._task(split, table, work), self._wanted(split).held_out
        first = task.first()
        life, reached = Life(task, rounds, self.method, first), {0: accuracy(first, split.held_out)}
        for number in range(1, rounds.count + 1):
            life.round(number)
            if any((number - 1) * each < look <= number * each for look in self._looks):
                after_turn = number * each > self.votes // 2
                reached[number * each] = accuracy(life.champion, late if after_turn else split.held_out)
        return reached

    def _bandit(self, split: Split, table: Table | None) -> dict[int, float]:
        if not vowpal_installed():
            raise Absent(f"Vowpal Wabbit is not installed: {HOW_TO_GET}")
        explorer = self.explorer or EXPLORERS[self.method, self.network]
        seeds = deal_seed_labels(split.train, SETTINGS[self.setting].labels_a_class, self.seed)
        early = [look for look in self._looks if look <= self.votes // 2]
        course = Course(split.train, split.held_out, seeds, self._people(split), self._looks, self.seed)
        reached = curve_of(explorer, course, table)
        if self.setting == "drift":
            late = curve_of(explorer, replace(course, held_out=self._wanted(split).held_out), table)
            reached = {look: (reached if look in (0, *early) else late)[look] for look in reached}
        return reached

    def _people(self, split: Split) -> People:
        match self.setting:
            case "noisy":
                return Crowd(0.2)
            case "unequal":
                return UnequalNoise(split.labels)
            case "drift":
                return DriftingTaste(split.labels, self.votes // 2)
            case "few":
                return FewVotes()
            case "stars":
                return Stars()
            case _:
                return Crowd(0.1)

    def _wanted(self, split: Split) -> Split:
        """The texts by the labels that are wanted at the end."""
        if self.setting != "drift":
            return split
        taste = DriftingTaste(split.labels, 0)
        rows = [[replace(row, label=taste.wanted(row.label)) for row in part] for part in (split.train, split.held_out)]
        return replace(split, train=rows[0], held_out=rows[1])

    def _task(self, split: Split, table: Table | None, work: Path) -> Task:
        recipe = replace(RECIPES[self.network], labels_per_class=SETTINGS[self.setting].labels_a_class, seed=self.seed)
        return Task(split.train, split.held_out, recipe, work, pretrain_on(table) if table else pretrain_classify)

    def _split(self, place: Place) -> Split:
        return split_of(_rows(self.data, place), self.seed, self.validation, self.most_rows)

    def _table(self, place: Place) -> Table | None:
        if self.network != "encoder":
            return None
        if encoder_folder() is None:
            raise Absent(f"the pretrained encoder is not installed: {HOW_TO_GET}")
        torch.set_num_threads(1)
        return vectors_of([row.text for row in _rows(self.data, place)], place.work / "vectors")


def _rows(data: str, place: Place) -> list[LabelledText]:
    return read_labelled(place.folder(data, FILES[data]) / FILES[data])


def split_of(rows: Sequence[LabelledText], seed: int, validation: bool, most_rows: int = 0) -> Split:
    """A fifth of the rows, drawn by the seed, to measure on; for `validation` a fifth of the others instead of it."""
    shuffled = list(rows)
    Random(f"split {seed}").shuffle(shuffled)
    if most_rows:
        few = sorted({row.label for row in rows})[:5]
        shuffled = [row for row in shuffled if row.label in few][:most_rows]
    cut = len(shuffled) // 5
    held_out, train = shuffled[:cut], shuffled[cut:]
    if validation:
        cut = len(train) // 5
        held_out, train = train[:cut], train[cut:]
    return Split(train, held_out, sorted({row.label for row in rows if not most_rows} or {r.label for r in train}))


def thumbs(
    data: str, network: str, settings: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Thumbs]:
    """Lives of every setting, method and seed."""
    make = partial(Thumbs, data, network)
    return [make(method, setting, seed) for setting in settings for method in methods for seed in seeds]
