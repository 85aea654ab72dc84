"""What people would use instead: Vowpal Wabbit's contextual bandits, online, a vote at a time.

It gets what our policy gets: the same questions in the same order, seed labels first, then a vote on each answer that
it draws itself from its explorer's probabilities. All votes teach it; nobody is held out. Its features are the
encoder's vector of a text, or else the text's words, pairs of words and groups of four characters.

Vowpal Wabbit is optional (requirements/benchmarks.txt).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from random import Random
from typing import Any

from classify_rounds import People
from learning.text_table import Table
from thumbwheel.pretrain.corpus import LabelledText

PACKAGE = "vowpalwabbit"
_GROUP = 4
_BITS = 24
# An action's weights are those of a text's features with its name.
_CROSSED = "-q ta"


@dataclass(frozen=True)
class Explorer:
    """How it explores and learns: its own flags, and how seed labels are told."""

    flags: str
    learning_rate: float
    seed_passes: int = 5
    wrong_a_seed: int = 3
    """Labels that are told to be wrong for each seed text, beside the right one."""


def installed() -> bool:
    """Whether Vowpal Wabbit is there."""
    return find_spec(PACKAGE) is not None


def features(texts: Collection[str], table: Table | None) -> dict[str, str]:
    """Each text as Vowpal Wabbit reads it."""
    if table is None:
        return {text: _words(text) for text in texts}
    return {
        text: "shared |t " + " ".join(f"{place}:{value:.5g}" for place, value in enumerate(_unit(table[text])))
        for text in texts
    }


def _unit(vector: Any) -> list[float]:
    return list((vector / vector.norm()).tolist())


def _words(text: str) -> str:
    """Words and pairs of them; of a text without blanks the groups of characters tell."""
    words = re.findall(r"\w+", text.lower())
    pairs = [f"{a}_{b}" for a, b in itertools.pairwise(words)]
    joined = "_".join(words)
    groups = [joined[at : at + n] for n in (2, _GROUP) for at in range(len(joined) - n + 1)]
    return "shared |t " + " ".join([*words, *pairs, *(f"^{group}" for group in groups)])


class Bandit:
    """A contextual bandit over labels."""

    def __init__(self, explorer: Explorer, labels: Sequence[str], known: dict[str, str], seed: int) -> None:
        from vowpalwabbit import Workspace

        self._labels, self._known, self._rng = labels, known, Random(f"vowpal {seed}")
        self._places = {label: place for place, label in enumerate(labels)}
        self._workspace = Workspace(
            f"--cb_explore_adf {explorer.flags} --cb_type mtr -l {explorer.learning_rate} -b {_BITS} "
            f"{_CROSSED} --ignore_linear t --random_seed {seed + 1} --quiet"
        )
        self._explorer = explorer
        self._actions = [f"|a {place}" for place in range(len(labels))]

    def told(self, seeds: Sequence[LabelledText]) -> None:
        """Learn labelled texts: the right label costs nothing, some others 1."""
        for _ in range(self._explorer.seed_passes):
            for row in self._rng.sample(list(seeds), len(seeds)):
                others = self._rng.sample([label for label in self._labels if label != row.label], self._wrong)
                for label in (row.label, *others):
                    self._learn(row.text, label, float(label != row.label), 1 / (1 + self._wrong))

    def answer(self, text: str) -> tuple[str, float]:
        """A label drawn by its probability, and that."""
        probs_K = self._probabilities(text)
        place = self._rng.choices(range(len(probs_K)), probs_K)[0]
        return self._labels[place], probs_K[place]

    def voted(self, text: str, label: str, probability: float, up: bool) -> None:
        """Learn a vote."""
        self._learn(text, label, 0.0 if up else 1.0, probability)

    def accuracy(self, rows: Sequence[LabelledText]) -> float:
        """Share of rows whose likeliest label is the true one."""
        return sum(self._best(row.text) == row.label for row in rows) / len(rows)

    def close(self) -> None:
        """Free its memory."""
        self._workspace.finish()

    @property
    def _wrong(self) -> int:
        return min(self._explorer.wrong_a_seed, len(self._labels) - 1)

    def _best(self, text: str) -> str:
        probs_K = self._probabilities(text)
        return self._labels[max(range(len(probs_K)), key=probs_K.__getitem__)]

    def _probabilities(self, text: str) -> list[float]:
        return list(self._workspace.predict([self._known[text], *self._actions]))

    def _learn(self, text: str, label: str, cost: float, probability: float) -> None:
        lines, place = [self._known[text], *self._actions], self._places[label]
        lines[1 + place] = f"0:{cost}:{max(probability, 1e-6):.6g} {self._actions[place]}"
        self._workspace.learn(lines)


@dataclass(frozen=True)
class Course:
    """What a bandit goes through: questions from `asked`, votes of `people`, looks at `held_out` at some counts."""

    asked: Sequence[LabelledText]
    held_out: Sequence[LabelledText]
    seeds: Sequence[LabelledText]
    people: People
    looks: Sequence[int]
    seed: int


def curve_of(explorer: Explorer, course: Course, table: Table | None) -> dict[int, float]:
    """Held-out accuracy at 0 and at each of the looks, by answers given."""
    labels = sorted({row.label for row in course.asked})
    bandit = Bandit(explorer, labels, _known(course, table), course.seed)
    bandit.told(course.seeds)
    rng, reached = Random(f"users {course.seed}"), {0: bandit.accuracy(course.held_out)}
    for number in range(1, max(course.looks) + 1):
        row = rng.choice(course.asked)
        label, probability = bandit.answer(row.text)
        said = course.people.vote(label, row, number - 1, rng)
        if said is not None:
            up = said.thumb_up if said.rating is None else said.rating > 3
            bandit.voted(row.text, label, probability, bool(up))
        if number in course.looks:
            reached[number] = bandit.accuracy(course.held_out)
    bandit.close()
    return reached


def _known(course: Course, table: Table | None) -> dict[str, str]:
    return features({row.text for row in (*course.asked, *course.held_out, *course.seeds)}, table)
