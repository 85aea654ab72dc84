"""The drill of planted policies: each is made, judged by the real gates and, where these let it pass, by the canary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import numpy as np

from thumbwheel.config.settings import Settings
from thumbwheel.drill import known_gain, labels, replies
from thumbwheel.drill.among_users import Answers, replies_of, try_among_users
from thumbwheel.drill.bench import Bench, Judged, open_bench
from thumbwheel.drill.known_gain import Passed
from thumbwheel.drill.labels import LabelGround, LabelSize
from thumbwheel.drill.plant import Plant
from thumbwheel.drill.planted import broken
from thumbwheel.drill.planted import labels as label_plants
from thumbwheel.drill.planted import replies as reply_plants
from thumbwheel.drill.replies import ReplyGround, ReplySize
from thumbwheel.errors import ThumbwheelError
from thumbwheel.gates.evidence import Floats, GenerateEvidence, as_floats
from thumbwheel.ope.intervals import Interval, wilson
from thumbwheel.policy.loading import load_tokenizer
from thumbwheel.policy.prompt import encode_prompt
from thumbwheel.records import GateResult, Message, PolicyKind
from thumbwheel.registry.trial import TrialState
from thumbwheel.retrain.learners import learner_for

REPLY_PLANTS: Final = (reply_plants.HONEST, *reply_plants.PLANTS, *broken.PLANTS)
LABEL_PLANTS: Final = (label_plants.HONEST, *label_plants.PLANTS)
PIECES: Final = len(REPLY_PLANTS) + len(LABEL_PLANTS) + 4
"""Pieces of work of a seed: the plants, and a first policy with its votes of either kind."""

LEAST_GAINS_PASSED: Final = 0.8
MOST_WITHOUT_PASSED: Final = 0.05
CONFIDENCE: Final = 0.95

Told = Callable[[], None]


@dataclass(frozen=True, slots=True)
class DrillSize:
    """How large the drill is: the grounds, and how many candidates of known gain are drawn from each."""

    replies: ReplySize = field(default_factory=ReplySize)
    labels: LabelSize = field(default_factory=LabelSize)
    draws: int = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a planted policy got.

    `stopped_by` is the gate, `canary`, or the error that stopped it; empty: it reached full traffic. `also` are the
    other gates that refused it. `well` says whether that is as it should be: a bad one was stopped by what it is for,
    an honest one by nothing.
    """

    seed: int
    plant: str
    kind: PolicyKind
    what: str
    should: str
    stopped_by: str
    also: tuple[str, ...]
    evidence: str
    well: bool


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of all seeds."""

    outcomes: tuple[Outcome, ...]
    passed: tuple[Passed, ...]

    @property
    def good(self) -> bool:
        """Whether each was stopped where it should be, and no draws of the counter-check refute what is wanted."""
        kinds = {one.kind for one in self.passed}
        return all(one.well for one in self.outcomes) and all(
            self.gains_passed(kind).high >= LEAST_GAINS_PASSED and self.without_passed(kind).low <= MOST_WITHOUT_PASSED
            for kind in kinds
        )

    def gains_passed(self, kind: PolicyKind) -> Interval:
        """Share of candidates with a true gain that pass, with Wilson's interval."""
        return self._share(kind, lambda one: one.with_gain)

    def without_passed(self, kind: PolicyKind) -> Interval:
        """Share of candidates without a gain that pass, likewise."""
        return self._share(kind, lambda one: one.without)

    def _share(self, kind: PolicyKind, count: Callable[[Passed], int]) -> Interval:
        ours = [one for one in self.passed if one.kind is kind]
        return wilson(sum(map(count, ours)), sum(one.draws for one in ours), CONFIDENCE)


class _Ground(Protocol):
    """What both grounds have."""

    @property
    def bench(self) -> Bench:
        """The policy and its judge."""

    @property
    def seed(self) -> int:
        """What chance is seeded by."""


def run_drill(seeds: Iterable[int], folder: Path, told: Told, size: DrillSize | None = None) -> Drilled:
    """Run all plants for each seed, in homes of their own below `folder`; `told` is called after each piece of work."""
    size = size or DrillSize()
    outcomes: list[Outcome] = []
    passed: list[Passed] = []
    for seed in seeds:
        for drill in (drill_replies, drill_labels):
            done = drill(seed, folder / f"{seed}", told, size)
            outcomes += done.outcomes
            passed += done.passed
    return Drilled(tuple(outcomes), tuple(passed))


def drill_replies(seed: int, folder: Path, told: Told, size: DrillSize) -> Drilled:
    """The plants that reply."""
    with _reply_ground(seed, folder, told, size.replies) as ground:
        requests = _requests(ground)

        def answers(judged: Judged, made: Path) -> tuple[Answers, Answers]:
            evidence = judged.evidence
            assert isinstance(evidence, GenerateEvidence)
            old, new = _qualities(ground, requests, evidence)
            return (
                Answers(old.tolist(), replies_of(evidence.champion_texts, list(map(int, evidence.champion_lengths)))),
                Answers(new.tolist(), replies_of(evidence.candidate_texts, list(map(int, evidence.candidate_lengths)))),
            )

        outcomes, honest = _drilled(ground, PolicyKind.GENERATE, REPLY_PLANTS, folder / "plants", answers, told)
        evidence = honest.evidence
        assert isinstance(evidence, GenerateEvidence)
        limits, truth = ground.bench.settings.gates, _qualities(ground, requests, evidence)
        return Drilled(outcomes, (known_gain.reply_draws(evidence, truth, limits, size.draws, seed),))


def drill_labels(seed: int, folder: Path, told: Told, size: DrillSize) -> Drilled:
    """The plants that classify."""
    with _label_ground(seed, folder, told, size.labels) as ground:

        def answers(judged: Judged, made: Path) -> tuple[Answers, Answers]:
            old, new = (ground.right(version) for version in (ground.bench.champion, made))
            drawn = np.random.default_rng(seed).random(len(old))
            return Answers((drawn < old).astype(float).tolist()), Answers((drawn < new).astype(float).tolist())

        plants = folder / "plants"
        outcomes, _ = _drilled(ground, PolicyKind.CLASSIFY, LABEL_PLANTS, plants, answers, told)
        tables = known_gain.tables_of(ground, plants / LABEL_PLANTS[0].name)
        limits = ground.bench.settings.gates
        return Drilled(outcomes, (known_gain.label_draws(tables, limits, size.draws, seed),))


@contextmanager
def _reply_ground(seed: int, folder: Path, told: Told, size: ReplySize) -> Iterator[ReplyGround]:
    world, first = replies.desk(seed), folder / "first-replies"
    replies.first_replies(world, seed, size, first)
    told()
    learner = learner_for(PolicyKind.GENERATE)
    with open_bench(_settings(folder, "replies"), replies.POLICY, PolicyKind.GENERATE, first, learner) as bench:
        ground = replies.collect(world, seed, size, bench)
        told()
        yield ground


@contextmanager
def _label_ground(seed: int, folder: Path, told: Told, size: LabelSize) -> Iterator[LabelGround]:
    world, first = labels.desk(seed), folder / "first-labels"
    labels.first_labels(world, seed, size, first)
    told()
    learner = learner_for(PolicyKind.CLASSIFY)
    with open_bench(_settings(folder, "labels"), labels.POLICY, PolicyKind.CLASSIFY, first, learner) as bench:
        ground = labels.collect(world, seed, size, bench)
        told()
        yield ground


def _settings(folder: Path, name: str) -> Settings:
    """The embedded default, in a home of its own; what the environment and files say does not count."""
    return Settings.model_validate({"home": folder / name})


def _drilled(
    ground: _Ground,
    kind: PolicyKind,
    plants: Sequence[Plant[Any]],
    folder: Path,
    answers: Callable[[Judged, Path], tuple[Answers, Answers]],
    told: Told,
) -> tuple[tuple[Outcome, ...], Judged]:
    """The outcomes, and what the judge saw of the first plant, which is the honest one."""
    outcomes: list[Outcome] = []
    seen: list[Judged] = []
    for plant in plants:
        made = folder / plant.name
        plant.make(ground, made)
        try:
            judged = ground.bench.judge(made)
        except ThumbwheelError as error:
            outcomes.append(_outcome(ground.seed, plant, kind, type(error).__name__, (), str(error)))
        else:
            seen.append(judged)
            outcomes.append(_followed(ground, plant, kind, judged, partial(answers, judged, made)))
        told()
    return tuple(outcomes), seen[0]


def _followed(
    ground: _Ground, plant: Plant[Any], kind: PolicyKind, judged: Judged, answers: Callable[[], tuple[Answers, Answers]]
) -> Outcome:
    """What the gates say and, where they promote, the canary."""
    if not judged.verdict.promote:
        return _refused(ground.seed, plant, kind, [gate for gate in judged.verdict.gates if not gate.passed])
    limits = ground.bench.settings.canary
    finding = try_among_users(*answers(), limits, Random(f"users {ground.seed} {plant.name}"))
    stopped = "" if finding.state is TrialState.PROMOTED else "canary"
    return _outcome(ground.seed, plant, kind, stopped, (), f"{judged.verdict.summary} {finding.sentence}")


def _refused(seed: int, plant: Plant[Any], kind: PolicyKind, failed: Sequence[GateResult]) -> Outcome:
    """The gate that it is for, where it refused; else the first that did."""
    by_name = {gate.name: gate for gate in failed}
    first = next((by_name[name] for name in plant.gates if name in by_name), failed[0])
    also = tuple(gate.name for gate in failed if gate is not first)
    return _outcome(seed, plant, kind, first.name, also, first.sentence)


def _outcome(
    seed: int, plant: Plant[Any], kind: PolicyKind, stopped_by: str, also: tuple[str, ...], evidence: str
) -> Outcome:
    well = stopped_by == "" if plant.honest else stopped_by in plant.gates
    should = " or ".join(plant.gates)
    return Outcome(seed, plant.name, kind, plant.what, should, stopped_by, also, evidence, well)


def _requests(ground: ReplyGround) -> dict[str, Any]:
    """What each prompt asks, by its text as evidence has it."""
    tokenizer = load_tokenizer(ground.bench.champion)

    def prompt(text: str) -> str:
        return str(tokenizer.decode(encode_prompt(tokenizer, [Message("user", text)], 1_000_000)))

    return {prompt(request.text): request for _, request in ground.asked}


def _qualities(ground: ReplyGround, requests: dict[str, Any], evidence: GenerateEvidence) -> tuple[Floats, Floats]:
    """True qualities of both versions' replies, (P,)."""
    asked = [requests[prompt] for prompt in evidence.prompt_texts]
    old, new = (
        as_floats([ground.world.reply_quality(request, text) for request, text in zip(asked, texts, strict=True)])
        for texts in (evidence.champion_texts, evidence.candidate_texts)
    )
    return old, new
