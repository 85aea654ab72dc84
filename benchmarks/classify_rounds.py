"""Rounds of serving, voting and learning for `classify`, and the table of what they reach.

Each round is what the product does: the champion answers texts drawn from the training rows by sampling with the
probability floor, a crowd gives thumbs, the votes on the champion's and its nearest ancestors' answers are frozen
(some users held out, the newest slice left for the next run), and the run's own learner makes the next version.
Only the service, the database and, unless asked for, the gates are left out.

Who votes how is `People`; without any it is a crowd of which a share of the thumbs is wrong.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Protocol, cast

import torch
from transformers.utils import logging

from thumbwheel.config.settings import Settings
from thumbwheel.dataset.freeze import freeze
from thumbwheel.errors import NotEnoughData
from thumbwheel.gates.judge import judge
from thumbwheel.policy.classify import likeliest_labels, load_classifier, sample_labels
from thumbwheel.ppo.classify.baseline import supervise_classify
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.ppo.vote_reward import reward_of
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Edit,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    PolicyKind,
    RatedResponse,
    TagAnswer,
    VersionRef,
)
from thumbwheel.retrain.learn_classify import ClassifyLearner, ppo_settings, training_votes, votes_of_any_age
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import LINEAGE, Plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.simulate.users import SimulatedUser, crowd_of, label_quality
from thumbwheel.store.port import FeedbackStore

BATCH = 256
CROWD = 200
POLICY = "intent"


def _ppo(job: Job) -> None:
    ClassifyLearner().improve(job)


def _thumbs_up(job: Job) -> None:
    votes, training = training_votes(job), ppo_settings(job).training
    supervise_classify(job.champion, votes, job.folder.candidate, job.folder.checkpoint, training)


def _all_thumbs_up(job: Job) -> None:
    """On those of any age, with as many updates as on those of the lineage."""
    votes = [
        ClassifyVote(one.text, one.label, (), one.reward, one.weight) for one in votes_of_any_age(job, with_aside=True)
    ]
    training, liked = ppo_settings(job).training, sum(vote.reward > 0 for vote in votes)
    fewer = sum(vote.reward > 0 for vote in training_votes(job)) / max(1, liked)
    training = replace(training, epochs=max(1, round(training.epochs * fewer)))
    supervise_classify(job.champion, votes, job.folder.candidate, job.folder.checkpoint, training)


METHODS: Mapping[str, Callable[[Job], None]] = {
    "ppo": _ppo,
    "thumbs-up": _thumbs_up,
    "thumbs-up of any age": _all_thumbs_up,
}


@dataclass(frozen=True)
class Task:
    """Texts to learn on and texts to measure on, and how the first policy is made."""

    train: Sequence[LabelledText]
    held_out: Sequence[LabelledText]
    recipe: ClassifyRecipe
    work: Path
    pretrain: Callable[[Sequence[LabelledText], Path, ClassifyRecipe], object] = pretrain_classify

    def first(self) -> Path:
        """The first policy, from a few labels a class."""
        self.pretrain(self.train, self.work / "first", self.recipe)
        return self.work / "first"

    def all_labels(self) -> float:
        """Accuracy of the same network when it is told the true label of every training row."""
        recipe = replace(self.recipe, labels_per_class=None, batch_size=64)
        self.pretrain(self.train, self.work / "all", recipe)
        return accuracy(self.work / "all", self.held_out)


@dataclass(frozen=True)
class Said:
    """What a user said of an answer: a thumb, or stars from 1 to 5, or what was right."""

    user_id: str
    thumb_up: bool | None = None
    rating: int | None = None
    edit: Edit | None = None

    @property
    def kind(self) -> FeedbackKind:
        """Which of these."""
        if self.edit:
            return FeedbackKind.EDIT
        return FeedbackKind.THUMB if self.rating is None else FeedbackKind.RATING


class People(Protocol):
    """Who votes."""

    def vote(self, served: str, asked: LabelledText, number: int, rng: Random) -> Said | None:
        """What somebody says of the label served for a text as the `number`th answer; None for nothing."""


@dataclass(frozen=True)
class Crowd:
    """Users who behave alike: a share of their thumbs is wrong."""

    noise: float

    @cached_property
    def users(self) -> Sequence[SimulatedUser]:
        """All of them."""
        return crowd_of(CROWD, SimulatedUser(noise=self.noise))

    def vote(self, served: str, asked: LabelledText, number: int, rng: Random) -> Said | None:
        user = rng.choice(self.users)
        up = user.thumb(label_quality(served, asked.label), rng)
        return None if up is None else Said(user.user_id, thumb_up=up)


@dataclass(frozen=True)
class Rounds:
    """How many answers are given, how wrong votes on them are or by whom, and what the runs are set to."""

    count: int
    votes_each: int
    noise: float
    settings: Settings
    gates: bool = False
    people: People | None = None


class Life:
    """A policy from its first version on: it answers, is voted on, and is followed by its improvement."""

    kind = PolicyKind.CLASSIFY

    def __init__(self, task: Task, rounds: Rounds, method: str, first: Path) -> None:
        self._task = task
        self._people = rounds.people or Crowd(rounds.noise)
        self._start(task.work, task.recipe.seed, rounds, method, first)

    def _start(self, work: Path, seed: int, rounds: Rounds, method: str, first: Path) -> None:
        """What is the same for every kind of policy."""
        self._work, self._seed, self._rounds, self._method = work, seed, rounds, method
        self._rng = Random(f"users {self._seed}")
        self._generator = torch.Generator().manual_seed(self._seed)
        self._line = [("v0", first)]
        self._rated: list[RatedResponse] = []
        self._answers = 0
        self._served = ""

    def rated(self, policy: str, watermark: int) -> Iterator[RatedResponse]:
        """What freezing asks of a store."""
        return iter(self._rated)

    def answers_after(self, policy: str, response_id: str, limit: int) -> list[LoggedResponse]:
        """Every answer is rated: there is nothing to tell of who rates."""
        return []

    def round(self, number: int) -> str:
        """Serve, vote, learn; says what came of it."""
        kept = {version for version, _ in self._line}
        self._rated = [answer for answer in self._rated if answer.response.ref.version in kept] + self._serve()
        try:
            job = self._job(number)
            self._learn(job)
        except NotEnoughData:
            return "too few votes"
        verdict = self._verdict(job)
        if not verdict:
            self._line.insert(0, (f"v{number}", job.folder.candidate))
            self._forget()
        shutil.rmtree(job.folder.snapshot)
        return verdict or "promoted"

    def _learn(self, job: Job) -> None:
        METHODS[self._method](job)

    def _forget(self) -> None:
        """Drop versions that nothing is learned from any more, and the files of those that serve no more."""
        del self._line[LINEAGE + self._rounds.settings.learn.past_versions :]
        for version, folder in self._line[1:]:
            if version != "v0":
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def champion(self) -> Path:
        return self._line[0][1]

    def share_up(self) -> float:
        """Share of the votes on the latest version that speak for it; NaN without any."""
        rewards = [reward_of(one.votes[0]) for one in self._rated if one.response.ref.version == self._served]
        return sum((reward or 0) > 0 for reward in rewards) / len(rewards) if rewards else float("nan")

    def _serve(self) -> list[RatedResponse]:
        """One round of served labels with their logged probabilities and thumbs."""
        classifier, self._served = load_classifier(self.champion), self._line[0][0]
        floor = self._rounds.settings.classify.probability_floor
        asked = self._rng.choices(self._task.train, k=self._rounds.votes_each)
        rated = []
        for start in range(0, len(asked), BATCH):
            rows = asked[start : start + BATCH]
            probs_BK = classifier.probabilities([row.text for row in rows], floor)
            drawn = sample_labels(probs_BK, self._generator).tolist()
            for row, label, probs in zip(rows, drawn, probs_BK.tolist(), strict=True):
                name = classifier.labels[label]
                answer = ClassifyAnswer(row.text, label, name, tuple(probs), floor, classifier.labels)
                said = self._people.vote(name, row, self._answers, self._rng)
                rated += [self._vote(answer, said)] if said else []
                self._answers += 1
        return rated

    def _vote(self, answer: ClassifyAnswer | TagAnswer, said: Said) -> RatedResponse:
        number, version = self._answers, self._served
        ids, ref = (f"r{number}", f"q{number}"), VersionRef(POLICY, version, "")
        response = LoggedResponse(*ids, ref, Channel.CHAMPION, "", said.user_id, "", number, "", answer)
        about = (f"f{number}", ids[0], said.user_id, "", POLICY, version, said.kind, number)
        vote = Feedback(*about, thumb_up=said.thumb_up, rating=said.rating, edit=said.edit)
        return RatedResponse(response, (vote,))

    def _job(self, number: int) -> Job:
        folder = RunFolder(self._work / f"{self._method}-{self._rounds.noise}-{number}")
        shutil.rmtree(folder.path, ignore_errors=True)
        folder.path.mkdir()
        line = tuple(version for version, _ in self._line)
        settings, seed = self._rounds.settings, self._seed
        about = (f"run-{number}", POLICY, self.kind, line[0], line[:LINEAGE], self._answers, seed, 0)
        plan = Plan(*about, settings, line[LINEAGE:])
        snapshot = freeze(cast(FeedbackStore, self), plan.votes, folder.snapshot)
        return Job(plan, folder, snapshot, self.champion, lambda done, total, figures: None)

    def _verdict(self, job: Job) -> str:
        """Empty, or the names of the gates that refuse the candidate; gates that are not asked refuse nothing."""
        if not self._rounds.gates:
            return ""
        verdict = judge(PolicyKind.CLASSIFY, ClassifyLearner().measure(job).evidence, job.plan.settings.gates)
        return ", ".join(gate.name for gate in verdict.gates if not gate.passed)


@dataclass(frozen=True)
class Reached:
    """Held-out accuracies of one seed."""

    first: float
    all_labels: float
    by_method: Mapping[str, float]

    def share(self, method: str) -> float:
        """Of what all labels reach."""
        return self.by_method[method] / self.all_labels


def compare(
    make_task: Callable[[int, Path], Task], rounds: Sequence[Rounds], seeds: Sequence[int], methods: Sequence[str]
) -> list[list[Reached]]:
    """For each of `rounds`, what every seed reached; the rounds of learning are printed as they end."""
    logging.disable_progress_bar()
    reached: list[list[Reached]] = [[] for _ in rounds]
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="thumbwheel-classify-") as work:
            task = make_task(seed, Path(work))
            first, everything = task.first(), task.all_labels()
            start = accuracy(first, task.held_out)
            print(f"seed {seed}: first policy {start:.3f}, all true labels {everything:.3f}", flush=True)
            for each, row in zip(rounds, reached, strict=True):
                row.append(Reached(start, everything, {name: _learn(task, each, name, first) for name in methods}))
    return reached


def _learn(task: Task, rounds: Rounds, method: str, first: Path) -> float:
    life, reached = Life(task, rounds, method, first), 0.0
    for number in range(1, rounds.count + 1):
        outcome = life.round(number)
        reached = accuracy(life.champion, task.held_out)
        print(
            f"  {method}, {rounds.noise:.0%} wrong, {number * rounds.votes_each:6d} votes: "
            f"up {life.share_up():.3f}, accuracy {reached:.3f}, {outcome}",
            flush=True,
        )
    return reached


def table(rounds: Sequence[Rounds], reached: Sequence[Sequence[Reached]]) -> str:
    """Mean (worst) over the seeds: accuracy, and its share of what all labels reach."""
    lines = ["\n| policy | held-out accuracy | of what all labels reach |", "|---|---|---|"]
    firsts = reached[0]
    lines.append(_row("first policy", [one.first for one in firsts], [one.first / one.all_labels for one in firsts]))
    for each, ends in zip(rounds, reached, strict=True):
        for method in ends[0].by_method:
            name = f"{method}, {each.count * each.votes_each} votes, {each.noise:.0%} wrong"
            lines.append(_row(name, [end.by_method[method] for end in ends], [end.share(method) for end in ends]))
    lines.append(_row("told all true labels", [one.all_labels for one in firsts], [1.0]))
    return "\n".join(lines)


def told_by_method(ends: Sequence[Reached]) -> str:
    """`ppo .912 (.905), thumbs-up .901 (.890)`: accuracies, mean and worst."""
    return ", ".join(f"{name} {mean_and_worst([end.by_method[name] for end in ends])}" for name in ends[0].by_method)


def _row(name: str, accuracies: Sequence[float], shares: Sequence[float]) -> str:
    return f"| {name} | {mean_and_worst(accuracies)} | {mean_and_worst(shares)} |"


def mean_and_worst(values: Sequence[float]) -> str:
    """`.912 (.905)`."""
    return f"{sum(values) / len(values):.3f} ({min(values):.3f})"


def accuracy(folder: Path, rows: Sequence[LabelledText]) -> float:
    """Share of `rows` whose likeliest label is the true one."""
    classifier, right = load_classifier(folder), 0
    ordered = sorted(rows, key=lambda row: len(row.text))
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        best = likeliest_labels(classifier.probabilities([row.text for row in batch], 0.0)).tolist()
        right += sum(classifier.labels[index] == row.label for index, row in zip(best, batch, strict=True))
    return right / len(rows)


def options(about: str, votes: int, noises: Sequence[float], seeds: Sequence[int]) -> argparse.ArgumentParser:
    """What both benchmarks can be told."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--votes", type=int, default=votes)
    parser.add_argument("--votes-a-round", type=int, default=1000)
    parser.add_argument("--labels-per-class", type=int, default=5)
    parser.add_argument("--noises", type=float, nargs="+", default=noises, help="shares of thumbs that are wrong")
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--gates", action="store_true", help="keep the champion when a gate refuses the candidate")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def rounds_of(given: argparse.Namespace) -> list[Rounds]:
    """The rounds that were asked for, with the settings as they are by default."""
    torch.set_num_threads(given.threads)
    settings, count = Settings(), given.votes // given.votes_a_round
    return [Rounds(count, given.votes_a_round, noise, settings, given.gates) for noise in given.noises]
