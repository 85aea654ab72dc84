"""One seed of the poison drill: a champion that users asked, and what is learned from their votes, honest or not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final, cast

from thumbwheel.config.settings import Settings
from thumbwheel.dataset.freeze import freeze
from thumbwheel.drill.poison_kinds import KINDS, SHARES, Poison, Target
from thumbwheel.drill.poison_log import BATCH, POLICY, Asked, Log, serve, users_of, voted
from thumbwheel.drill.poison_say import Say, say_on
from thumbwheel.gates.judge import judge
from thumbwheel.policy.classify import load_classifier
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import PolicyKind
from thumbwheel.retrain.learn_classify import ClassifyLearner, weighed_votes
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.simulate.users import SimulatedUser
from thumbwheel.simulate.world import DESK_INTENTS, World
from thumbwheel.store.port import FeedbackStore

FIRST: Final = "v0"
CHAMPION: Final = "v1"

# How long answers take says nothing of votes, and a drill may run on a busy machine.
_ANY_LATENCY: Final = 100.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the drill is."""

    users: int = 200
    first_votes: int = 500
    votes: int = 1_600
    held_out: int = 1_000
    texts: int = 2_000
    noise: float = 0.1
    labels_per_class: int = 4
    epochs: int = 12
    width: int = 64
    shares: Sequence[float] = SHARES
    kinds: Sequence[Poison] = KINDS


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of a log.

    `quality` is true: the mean probability with which held-out texts get the right label. The attackers' shares are of
    the votes that are learned from, and of their weight.
    """

    quality: float
    stopped_by: tuple[str, ...]
    votes_of_attackers: float
    weight_of_attackers: float
    say: Say | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """The champion, and the honest questions that it and the version before it were asked."""

    seed: int
    work: Path
    scale: Scale
    settings: Settings
    train: Sequence[LabelledText]
    held_out: Sequence[LabelledText]
    users: Sequence[str]
    champion: Path
    lineage: Sequence[str]
    asked: Sequence[Asked]

    @property
    def user(self) -> SimulatedUser:
        """An honest user."""
        return SimulatedUser(noise=self.scale.noise)

    @property
    def floor(self) -> float:
        """What labels are served with."""
        return self.settings.classify.probability_floor

    def honest(self, silent: float = 0.0) -> Learned:
        """What is learned when all vote honestly but for those who would falsify at a share, who don't vote at all."""
        without = frozenset(self.attackers(silent))
        asked = [one for one in self.asked if one.user not in without]
        return self._learned(f"honest-{silent}", voted(asked, self.user, {}, self.seed), frozenset(), None)

    def attackers(self, share: float) -> list[str]:
        """Who falsifies; those of a smaller share are among those of a larger."""
        in_turn = Random(f"attackers {self.seed}").sample(self.users, len(self.users))
        return in_turn[: max(1, round(share * len(self.users)))] if share else []

    def falsified(self, poison: Poison, share: float) -> Learned:
        """What is learned when a share of the users falsify."""
        names = self.attackers(share)
        labels = load_classifier(self.champion).labels
        target = Target(labels[(self.seed + 1) % len(labels)], labels[self.seed % len(labels)], CHAMPION)
        raters = {name: poison.make(replace(self.user, user_id=name), target) for name in names}
        more = self._asked_more(poison, names, target) if poison.busy > 1 else []
        log = voted([*self.asked, *more], self.user, raters, self.seed)
        aimed_at = labels.index(target.label) if poison.aimed else None
        return self._learned(f"{poison.name}-{share}", log, frozenset(names), aimed_at)

    def improved(self, name: str, log: Log) -> Job:
        """Freeze a log and learn from it, as a run does."""
        folder = RunFolder(self.work / name)
        folder.path.mkdir(parents=True)
        newest = len(log.rows)
        plan = Plan(
            name, POLICY, PolicyKind.CLASSIFY, self.lineage[0], tuple(self.lineage), newest, self.seed, 0, self.settings
        )
        snapshot = freeze(cast(FeedbackStore, log), plan.votes, folder.snapshot)
        job = Job(plan, folder, snapshot, self.champion, lambda done, total, figures: None)
        ClassifyLearner().improve(job)
        return job

    def _learned(self, name: str, log: Log, attackers: frozenset[str], aimed_at: int | None) -> Learned:
        job = self.improved(name, log)
        verdict = judge(PolicyKind.CLASSIFY, ClassifyLearner().measure(job).evidence, self.settings.gates)
        votes = weighed_votes(job)
        theirs = [vote.weight for rater, vote in votes if rater in attackers]
        learned = Learned(
            quality=self.quality(job.folder.candidate),
            stopped_by=tuple(gate.name for gate in verdict.gates if not gate.passed),
            weight_of_attackers=sum(theirs) / sum(vote.weight for _, vote in votes),
            votes_of_attackers=len(theirs) / len(votes),
            say=None if aimed_at is None else say_on(aimed_at, votes, attackers),
        )
        shutil.rmtree(job.folder.path)
        return learned

    def quality(self, folder: Path) -> float:
        """Mean probability with which held-out texts get the right label, as served."""
        classifier, right = load_classifier(folder), 0.0
        index_of = {label: index for index, label in enumerate(classifier.labels)}
        ordered = sorted(self.held_out, key=lambda row: len(row.text))
        for start in range(0, len(ordered), BATCH):
            rows = ordered[start : start + BATCH]
            probs_BK = classifier.probabilities([row.text for row in rows], self.floor)
            right += sum(float(probs_BK[place, index_of[row.label]]) for place, row in enumerate(rows))
        return right / len(ordered)

    def _asked_more(self, poison: Poison, names: Sequence[str], target: Target) -> list[Asked]:
        """What attackers ask beyond their part of the honest questions, all along the log."""
        rng = Random(f"more {self.seed} {poison.name} {len(names)}")
        wanted = [row for row in self.train if row.label == target.instead]
        count = round((poison.busy - 1) * self.scale.votes * len(names) / len(self.users))
        asks = [
            (rng.uniform(0, self.scale.votes), rng.choice(names), rng.choice(wanted if aimed else self.train))
            for aimed in (rng.random() < poison.aims for _ in range(count))
        ]
        return serve(load_classifier(self.champion), CHAMPION, asks, self.floor, self.seed + 2)


def set_up(seed: int, work: Path, labelled: Sequence[LabelledText], scale: Scale) -> Stage:
    """Train a first policy on few labels, learn from an honest round of votes on it, and question the outcome."""
    rng = Random(f"poison drill {seed}")
    train, held_out = _rows(labelled, scale, seed, rng)
    shutil.rmtree(work, ignore_errors=True)
    first = work / FIRST
    pretrain_classify(train, first, _recipe(scale, seed))
    users = users_of(scale.users)
    stage = Stage(seed, work, scale, _settings(scale, seed), train, held_out, users, first, (FIRST,), ())
    before = _asks(train, users, scale.first_votes, -scale.first_votes, rng)
    earlier = serve(load_classifier(first), FIRST, before, stage.floor, seed)
    champion = stage.improved("first-round", voted(earlier, stage.user, {}, seed)).folder.candidate
    asks = _asks(train, users, scale.votes, 0, rng)
    asked = serve(load_classifier(champion), CHAMPION, asks, stage.floor, seed + 1)
    return replace(stage, champion=champion, lineage=(CHAMPION, FIRST), asked=[*earlier, *asked])


def _rows(
    labelled: Sequence[LabelledText], scale: Scale, seed: int, rng: Random
) -> tuple[list[LabelledText], list[LabelledText]]:
    """Texts to ask about and texts to measure by; of a file's own rows, a third and at most `held_out` measure."""
    if labelled:
        rows = rng.sample(labelled, min(len(labelled), scale.texts + scale.held_out))
    else:
        world = World(seed, DESK_INTENTS)
        messages = [world.message(rng) for _ in range(scale.texts + scale.held_out)]
        rows = [LabelledText(message.text, message.intent) for message in messages]
    held_out = min(scale.held_out, len(rows) // 3)
    return rows[held_out:], rows[:held_out]


def _recipe(scale: Scale, seed: int) -> ClassifyRecipe:
    """A first policy that learns fast, for a drill learns dozens of times."""
    return ClassifyRecipe(
        width=scale.width, feed_forward=scale.width, labels_per_class=scale.labels_per_class, max_tokens=64, seed=seed
    )


def _settings(scale: Scale, seed: int) -> Settings:
    """A run's settings as they are by default, the drill's passes, seed and latency aside."""
    plain = Settings()
    return plain.model_copy(
        update={
            "gates": plain.gates.model_copy(update={"max_latency_ratio": _ANY_LATENCY}),
            "learn": plain.learn.model_copy(update={"classify_epochs": scale.epochs, "seed": seed}),
        }
    )


def _asks(
    rows: Sequence[LabelledText], users: Sequence[str], count: int, begin: int, rng: Random
) -> list[tuple[float, str, LabelledText]]:
    """(place, user, text) of `count` questions from place `begin` on."""
    return [(float(begin + number), rng.choice(users), rng.choice(rows)) for number in range(count)]
