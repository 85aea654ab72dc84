"""A whole `tag` run on a very small policy and planted votes: it learns, it is judged, and it is promoted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tag_desk import SETTINGS, first_tag_desk, rate_tags, tagged_texts
from training_world import TrainingWorld

from thumbwheel.config.settings import Settings
from thumbwheel.gates.entities import score_entities
from thumbwheel.gates.judge import TAG
from thumbwheel.policy.tag import load_tagger
from thumbwheel.records import Channel, PolicyKind, RunState
from thumbwheel.retrain.cycle import Cycle
from thumbwheel.retrain.learners import learner_for
from thumbwheel.retrain.lock import RunLease
from thumbwheel.retrain.plan import make_plan
from thumbwheel.retrain.run_folder import RunFolder

pytestmark = pytest.mark.slow

ROWS = 400


def f1(version: Path) -> float:
    """Of the likeliest tags, on texts that nobody voted on."""
    tagger, asked = load_tagger(version), tagged_texts(200, 9)
    found = tagger.probabilities([row.tokens for row in asked], 0.0)
    given = [[tagger.labels[index] for index in probs_WK.argmax(1).tolist()] for probs_WK in found]
    return score_entities([row.tags for row in asked], given)[""].f1


def test_a_tagger_learns_from_thumbs_and_edits_and_is_promoted(tmp_path: Path) -> None:
    first = first_tag_desk(tmp_path / "v1")
    settings = Settings.model_validate({"home": tmp_path / "home", **SETTINGS})
    world = TrainingWorld(settings, "desk", PolicyKind.TAG, first)
    rate_tags(world.store, first, world.digest, ROWS)
    plan = make_plan(world.store, world.registry, settings, "desk")
    folder = RunFolder(settings.runs_dir / plan.run_id)
    folder.path.mkdir(parents=True)
    with RunLease(world.store, "desk", plan.run_id) as lease:
        run = Cycle(plan, folder, world.store, world.registry, learner_for, lease, lambda: time.time_ns() // 1000).run()

    assert run.state is RunState.PROMOTED, run.summary
    assert [gate.name for gate in run.gates] == [gate.name for gate in TAG]
    assert 0.9 * ROWS < run.votes < ROWS  # the newest of the training users are left out
    assert world.registry.channels("desk") == {Channel.CHAMPION: "v2"}
    promoted = world.registry.fetch("desk", "v2")
    before, after = f1(first), f1(promoted)
    assert after > before + 0.1, (before, after)
    assert (promoted / "seed_tags.jsonl").read_bytes() == (first / "seed_tags.jsonl").read_bytes()
    page = folder.report.read_text()
    assert "F1 of city" in page and "Average reward a word" in page
    world.close()
