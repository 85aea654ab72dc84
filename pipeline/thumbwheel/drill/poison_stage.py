"""One seed of the poison drill: a champion that users asked, and what is learned from their votes, honest or not."""

from __future__ import annotations

import shutil
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
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
from thumbwheel.ppo.classify.improve import improve_classify
from thumbwheel.ppo.classify.raters import weigh_votes
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import PolicyKind
from thumbwheel.retrain.learn_classify import ClassifyLearner, lay_aside, ppo_settings, voiced_votes, weighed_votes
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
    epochs: int = 10
    width: int = 64
    first_updates: int = 400
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
    known: dict[Hashable, float] = field(default_factory=dict)
    """What clean logs came to, by who was served what: several ways to falsify leave the same honest votes."""

    @property
    def user(self) -> SimulatedUser:
        """An honest user."""
        return SimulatedUser(noise=self.scale.noise)

    @property
    def floor(self) -> float:
        """What labels are served with."""
        return self.settings.classify.probability_floor

    def honest(self) -> Learned:
        """What is learned when all vote honestly."""
        job = self.frozen("honest", voted(self.asked, self.user, {}, self.seed))
        learned = self._as_a_run_does(job, frozenset(), None)
        shutil.rmtree(job.folder.path)
        return learned

    def attackers(self, share: float) -> list[str]:
        """Who falsifies; those of a smaller share are among those of a larger."""
        in_turn = Random(f"attackers {self.seed}").sample(self.users, len(self.users))
        return in_turn[: max(1, round(share * len(self.users)))] if share else []

    def falsified(self, poison: Poison, share: float) -> tuple[float, Learned]:
        """True quality when a share of the users falsify, but their votes count nothing; and what is learned with them.

        Both learn from the same rows in the same order, so what differs is the weight that attackers have got.
        """
        names = self.attackers(share)
        labels = load_classifier(self.champion).labels
        target = Target(labels[(self.seed + 1) % len(labels)], labels[self.seed % len(labels)], CHAMPION)
        raters = {name: poison.make(replace(self.user, user_id=name), target) for name in names}
        more = self._asked_more(poison, names, target) if poison.busy > 1 else []
        job = self.frozen(f"{poison.name}-{share}", voted([*self.asked, *more], self.user, raters, self.seed))
        clean = self._without(job, frozenset(names))
        learned = self._as_a_run_does(job, frozenset(names), labels.index(target.label) if poison.aimed else None)
        shutil.rmtree(job.folder.path)
        return clean, learned

    def frozen(self, name: str, log: Log) -> Job:
        """A run on a log, its votes frozen."""
        folder = RunFolder(self.work / name)
        folder.path.mkdir(parents=True)
        plan = Plan(
            run_id=name,
            policy=POLICY,
            kind=PolicyKind.CLASSIFY,
            parent=self.lineage[0],
            lineage=tuple(self.lineage),
            watermark=len(log.rows),
            seed=self.seed,
            started_us=0,
            settings=self.settings,
        )
        snapshot = freeze(cast(FeedbackStore, log), plan.votes, folder.snapshot)
        return Job(plan, folder, snapshot, self.champion, lambda done, total, figures: None)

    def _as_a_run_does(self, job: Job, attackers: frozenset[str], aimed_at: int | None) -> Learned:
        ClassifyLearner().improve(job)
        verdict = judge(PolicyKind.CLASSIFY, ClassifyLearner().measure(job).evidence, self.settings.gates)
        votes = weighed_votes(job)
        theirs = [vote.weight for rater, vote in votes if rater in attackers]
        return Learned(
            quality=self.quality(job.folder.candidate),
            stopped_by=tuple(gate.name for gate in verdict.gates if not gate.passed),
            votes_of_attackers=len(theirs) / len(votes),
            weight_of_attackers=sum(theirs) / sum(vote.weight for _, vote in votes),
            say=None if aimed_at is None else say_on(aimed_at, votes, attackers),
        )

    def _without(self, job: Job, attackers: frozenset[str]) -> float:
        """True quality of what is learned where somebody knows who the attackers are."""
        voted = voiced_votes(job)
        honest = [(voice, vote) for voice, vote in voted if voice not in attackers]
        weighed = iter(weigh_votes([voice for voice, _ in honest], [vote for _, vote in honest]).votes)
        asked = tuple((voice, vote.text, vote.label) for voice, vote in voted)
        if asked in self.known:
            return self.known[asked]
        told = [(voice, replace(vote, weight=0.0) if voice in attackers else next(weighed)) for voice, vote in voted]
        votes, aside = lay_aside(job, told)
        settings, folder = ppo_settings(job), job.folder.path / "without"
        improve_classify(self.champion, votes, folder, folder.with_suffix(".checkpoint"), settings, aside=aside)
        return self.known.setdefault(asked, self.quality(folder))

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
    first_round = stage.frozen("first-round", voted(earlier, stage.user, {}, seed))
    ClassifyLearner().improve(first_round)
    champion = first_round.folder.candidate
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
        width=scale.width,
        feed_forward=scale.width,
        labels_per_class=scale.labels_per_class,
        max_tokens=64,
        least_updates=scale.first_updates,
        seed=seed,
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
