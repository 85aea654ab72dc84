"""Tags on real text: F1 of entities from feedback, against the same network told every true tag.

A life as for labels (`classify_rounds.py`), by the production learner of `tag`: the champion's tags are drawn word by
word, users vote, it learns. There are three kinds of users: those who correct, those who give thumbs (up where every
tag is right), and half and half. A tenth is wrong: a thumb is turned, and of a correction one tag is left as it was
served. Texts to measure on are the file's own second part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from transformers.utils import logging

from classify_rounds import Crowd, Life, Rounds, Said
from learning.piece import Found, Place
from thumbwheel.config.settings import Data, Settings
from thumbwheel.gates.entities import score_entities
from thumbwheel.policy.classify import likeliest_labels, sample_labels
from thumbwheel.policy.tag import Tagger, load_tagger
from thumbwheel.pretrain.corpus import TaggedWords, read_tagged
from thumbwheel.pretrain.tag import TagRecipe, pretrain_tag, tag_names
from thumbwheel.records import Edit, PolicyKind, RatedResponse, TagAnswer
from thumbwheel.retrain.learn_tag import TagLearner
from thumbwheel.retrain.learner import Job

FILES = {"wnut17": ("train.jsonl", "dev.jsonl"), "weibo_ner_zh": ("train.jsonl", "dev.jsonl")}
TAGGED_TEXTS = 200
NOISE = 0.1
ALL_TAGS = "all true tags"
_BATCH = 64
_EDITS: Mapping[str, float] = {"corrections": 1.0, "thumbs": 0.0, "both": 0.5}
"""The share of votes that are corrections."""


@dataclass(frozen=True)
class TagTask:
    """Texts to learn on and to measure on, and how the first policy is made."""

    train: Sequence[TaggedWords]
    held_out: Sequence[TaggedWords]
    recipe: TagRecipe
    work: Path

    def first(self) -> Path:
        """The first policy, from a few tagged texts."""
        pretrain_tag(self.train, self.work / "first", self.recipe)
        return self.work / "first"

    def all_tags(self) -> float:
        """F1 of the same network when it is told every true tag."""
        pretrain_tag(self.train, self.work / "all", replace(self.recipe, texts=None))
        return f1(self.work / "all", self.held_out)


class TagLife(Life):
    """A tagger from its first version on."""

    kind = PolicyKind.TAG

    def __init__(self, task: TagTask, rounds: Rounds, method: str, first: Path) -> None:
        self._texts, self._edits = task.train, _EDITS[method]
        self._users = Crowd(NOISE).users
        self._start(task.work, task.recipe.seed, rounds, method, first)

    def _learn(self, job: Job) -> None:
        TagLearner().improve(job)

    def _serve(self) -> list[RatedResponse]:
        tagger, floor = load_tagger(self.champion), self._rounds.settings.tag.probability_floor
        self._served = self._line[0][0]
        asked = self._rng.choices(self._texts, k=self._rounds.votes_each)
        rated = []
        for start in range(0, len(asked), _BATCH):
            rows = asked[start : start + _BATCH]
            for row, probs_WK in zip(rows, tagger.probabilities([row.tokens for row in rows], floor), strict=True):
                drawn = tuple(sample_labels(probs_WK, self._generator).tolist())
                places = tuple(range(len(row.tokens)))
                answer = TagAnswer(
                    " ".join(row.tokens), row.tokens, places, places, drawn, tuple(probs_WK.flatten().tolist()), floor,
                    tagger.labels,
                )  # fmt: skip
                rated.append(self._vote(answer, self._said(answer, row.tags)))
                self._answers += 1
        return rated

    def _said(self, answer: TagAnswer, right: tuple[str, ...]) -> Said:
        user, wrong = self._rng.choice(self._users).user_id, self._rng.random() < NOISE
        if self._rng.random() >= self._edits:
            return Said(user, thumb_up=(answer.tags == right) != wrong)
        given = list(right)
        missed = [place for place, tag in enumerate(right) if tag != answer.tags[place]]
        if wrong and missed:
            place = self._rng.choice(missed)
            given[place] = answer.tags[place]
        return Said(user, edit=Edit(tags=tuple(given)))


@dataclass(frozen=True)
class Tags:
    """One life, or the reference, of one seed."""

    data: str
    method: str
    seed: int
    votes: int = 4_000
    votes_a_round: int = 500
    most_rows: int = 0
    tagged_texts: int = TAGGED_TEXTS

    @property
    def name(self) -> str:
        """A line of progress."""
        return f"{self.data}, {self.method}, seed {self.seed}"

    def run(self, place: Place) -> Found:
        """F1 of entities on texts nobody learns from, by answers given; of all true tags at 0."""
        logging.disable_progress_bar()
        torch.set_num_threads(1)
        folder = place.folder(self.data, *FILES[self.data])
        train, held_out = ([row for row in read_tagged(folder / name) if row.tokens] for name in FILES[self.data])
        if self.most_rows:
            Random(self.seed).shuffle(train)
            train, held_out = train[: self.most_rows], held_out[: self.most_rows]
        known = set(tag_names(train))
        held_out = [row for row in held_out if set(row.tags) <= known]
        recipe = TagRecipe(texts=self.tagged_texts, seed=self.seed, max_tokens=512)
        with tempfile.TemporaryDirectory(prefix="thumbwheel-tags-") as work:
            reached = self._reached(TagTask(train, held_out, recipe, Path(work)))
        told = " ".join(f"{votes}: {value:.3f}" for votes, value in reached.items())
        return {"at": {str(votes): value for votes, value in reached.items()}, "told": told}

    def _reached(self, task: TagTask) -> dict[int, float]:
        if self.method == ALL_TAGS:
            return {0: task.all_tags()}
        first, each = task.first(), self.votes_a_round
        settings = Settings(data=Data(min_votes_tag=min(150, each // 2)))
        life = TagLife(task, Rounds(self.votes // each, each, NOISE, settings), self.method, first)
        reached = {0: f1(first, task.held_out)}
        for number in range(1, self.votes // each + 1):
            life.round(number)
            reached[number * each] = f1(life.champion, task.held_out)
        return reached


def f1(folder: Path, rows: Sequence[TaggedWords]) -> float:
    """F1 of entities of the likeliest tags, all names together."""
    tagger: Tagger = load_tagger(folder)
    ordered = sorted(rows, key=lambda row: len(row.tokens))
    found: list[list[str]] = []
    for start in range(0, len(ordered), _BATCH):
        for probs_WK in tagger.probabilities([row.tokens for row in ordered[start : start + _BATCH]], 0.0):
            found.append([tagger.labels[place] for place in likeliest_labels(probs_WK).tolist()])
    return score_entities([list(row.tags) for row in ordered], found)[""].f1
