"""Judging a version that is there: the gates of a run, and nothing is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import first_desk
from training_world import World

from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.errors import InvalidConfig, UnknownVersion
from thumbwheel.gates.judge import CLASSIFY
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.retrain.dry_run import judge_version
from thumbwheel.retrain.erase import runs_with
from thumbwheel.retrain.judge_folder import remove_left
from thumbwheel.retrain.learner import Learner
from thumbwheel.retrain.learners import learner_for


@pytest.fixture(scope="module")
def first_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_desk(tmp_path_factory.mktemp("policy") / "v1")


@pytest.fixture
def world(tmp_path: Path, first_policy: Path) -> Iterator[World]:
    made = World(tmp_path / "home", first_policy)
    yield made
    made.close()


def test_a_version_that_is_no_better_is_refused_and_nothing_is_left(world: World, first_policy: Path) -> None:
    kind = world.registry.manifest("desk", "v1").kind
    world.registry.publish(NewVersion("desk", kind), first_policy)
    runs_dir = world.settings.runs_dir
    runs_dir.mkdir(exist_ok=True)
    before = sorted(path.name for path in world.settings.home.iterdir())
    looked: list[list[str]] = []

    def learner_where_erasing_looks(kind: PolicyKind) -> Learner:
        [place] = runs_dir.iterdir()
        remove_left(runs_dir)  # it is at work
        user = next(row.response.user_hash for row in Snapshot(place / "snapshot").rows() if row.response.user_hash)
        looked.append(runs_with(runs_dir, user))
        assert looked == [[place.name]]
        return learner_for(kind)

    heard: list[tuple[str, float]] = []

    def tell(step: str, share: float) -> None:
        heard.append((step, share))

    found = judge_version(world.store, world.registry, world.settings, learner_where_erasing_looks, "desk", "v2", tell)
    assert list(dict.fromkeys(step for step, _ in heard)) == ["freeze", "fit", "judge"]
    assert heard[-1] == ("judge", 1.0) and all(0 <= share <= 1 for _, share in heard)
    assert len(looked) == 1
    assert (found.version, found.champion, found.verdict.promote) == ("v2", "v1", False)
    assert [gate.name for gate in found.verdict.gates] == [gate.name for gate in CLASSIFY]
    assert "off_policy_snips" in {gate.name for gate in found.verdict.gates if not gate.passed}
    assert sorted(path.name for path in world.settings.home.iterdir()) == before
    assert list(runs_dir.iterdir()) == []
    assert world.registry.channels("desk") == {Channel.CHAMPION: "v1"}
    assert world.store.runs("desk") == []


def test_a_version_or_a_threshold_that_is_not_there_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(UnknownVersion):
        judge_version(world.store, world.registry, world.settings, learner_for, "desk", "v9")
    wrong = tmp_path / "gates.toml"
    wrong.write_text("[kl]\nthreshold = 1\n")
    gates = world.settings.gates.model_copy(update={"file": wrong})
    settings = world.settings.model_copy(update={"gates": gates})
    with pytest.raises(InvalidConfig, match="'kl', which has no threshold"):
        judge_version(world.store, world.registry, settings, learner_for, "desk", "v1")
