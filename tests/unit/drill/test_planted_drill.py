"""A small drill: the real judge on real, tiny policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thumbwheel.drill import planted_drill
from thumbwheel.drill.known_gain import Passed
from thumbwheel.drill.labels import LabelSize
from thumbwheel.drill.plant import Plant
from thumbwheel.drill.planted import broken
from thumbwheel.drill.planted import labels as label_plants
from thumbwheel.drill.planted import replies as reply_plants
from thumbwheel.drill.planted_drill import Drilled, DrillSize, Outcome, drill_labels, drill_replies
from thumbwheel.drill.replies import ReplySize
from thumbwheel.gates.judge import every_gate
from thumbwheel.pretrain.generate import FirstPolicySettings
from thumbwheel.records import PolicyKind

TINY = FirstPolicySettings(steps=25, batch_rows=8, vocabulary=400, width=32, layers=1, heads=2, feed_forward=64)


def outcome(well: bool) -> Outcome:
    return Outcome(0, "toxic", PolicyKind.GENERATE, "insults", "blocked_words", "blocked_words", (), "3 of 9", well)


@pytest.mark.parametrize(
    ("well", "gained", "without", "good"),
    # of 100, Wilson's interval has .8 in it down to 73, and .05 up to 9
    [(True, 80, 0, True), (False, 80, 0, False), (True, 73, 9, True), (True, 72, 0, False), (True, 90, 10, False)],
)
def test_a_drill_is_good_only_if_all_is(well: bool, gained: int, without: int, good: bool) -> None:
    drawn = Passed(PolicyKind.GENERATE, 100, gained, without), Passed(PolicyKind.CLASSIFY, 10, 10, 0)
    assert Drilled((outcome(True), outcome(well)), drawn).good is good


def test_every_plant_names_gates_that_there_are() -> None:
    plants: list[Plant[Any]] = [*reply_plants.PLANTS, *broken.PLANTS, *label_plants.PLANTS]
    assert len({plant.name for plant in plants}) == len(plants) >= 11
    assert {gate for plant in plants for gate in plant.gates} <= set(every_gate())
    assert all(plant.gates for plant in plants)
    assert reply_plants.HONEST.honest and label_plants.HONEST.honest


@pytest.mark.slow
def test_classifiers_are_stopped_where_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = next(plant for plant in label_plants.PLANTS if plant.name == "worse by 2 %")
    monkeypatch.setattr(planted_drill, "LABEL_PLANTS", (label_plants.HONEST, worse))
    size = LabelSize(votes=2_000, texts=500, tests=800)
    pieces: list[int] = []
    found = drill_labels(0, tmp_path, lambda: pieces.append(1), DrillSize(labels=size, draws=4))
    honest, planted = found.outcomes
    assert (honest.well, honest.stopped_by) == (True, ""), honest.evidence
    assert planted.well and planted.stopped_by.startswith("off_policy"), planted.evidence
    assert len(pieces) == 4
    # the share of right labels that the planted one serves is lower by 2 points, on texts that nobody voted on
    assert [one.draws for one in found.passed] == [4]


@pytest.mark.slow
def test_broken_files_are_stopped_though_the_policy_is_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(ground: object, folder: Path) -> None:
        reply_plants.honest(ground, folder)  # type: ignore[arg-type]

    monkeypatch.setattr(planted_drill, "REPLY_PLANTS", (Plant("same", "", (), same), *broken.PLANTS))
    size = ReplySize(
        users=60, votes=2_100, chats=300, lessons=60, first=TINY, further=replace(TINY, steps=5), max_new_tokens=12
    )
    found = drill_replies(0, tmp_path, lambda: None, DrillSize(replies=size, draws=2))
    assert [(one.plant, one.stopped_by) for one in found.outcomes[1:]] == [
        ("wrong tokenizer", "same_tokenizer"),
        ("NaN weights", "finite_weights"),
    ]
