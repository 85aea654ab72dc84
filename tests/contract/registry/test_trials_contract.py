"""What trials promise: they start and end with the channels they move, and each thumb counts once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from artifact_stores import kept_in_folder
from sqlalchemy import Engine, func, select

from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.database.schema import trial_serving, trial_voices
from thumbwheel.errors import Conflict, Fenced
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.registry.trial import Conclusion, Heard, NewTrial, Served, Trial, TrialKind, TrialState, Voices


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    on_file = request.param == "sqlite"
    made = connect(f"sqlite:///{tmp_path / 'store.sqlite'}" if on_file else request.getfixturevalue("postgres_url"))
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> SqlRegistry:
    """v1 is the champion, v2 and v3 are there."""
    made = SqlRegistry(engine, kept_in_folder(tmp_path).artifacts)
    for number in range(3):
        folder = tmp_path / f"made{number}"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text(f"w{number}")
        made.publish(NewVersion("intent", PolicyKind.CLASSIFY), folder)
    made.move("intent", Channel.CHAMPION, "v1", actor="ann", reason="first")
    return made


def watched(registry: SqlRegistry) -> Trial:
    watch = NewTrial(TrialKind.WATCH, "v2", "v1")
    return registry.trials.promote_watched("intent", watch, actor="run", reason="won", evidence_digest="d")


def canary(registry: SqlRegistry, version: str = "v2") -> Trial:
    new = NewTrial(TrialKind.CANARY, version, "v1", 0.1)
    return registry.trials.start_canary("intent", new, actor="ann", reason="try it")


def rows(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        voices, serving = (
            connection.scalar(select(func.count()).select_from(table)) or 0 for table in (trial_voices, trial_serving)
        )
    return voices, serving


def test_a_promotion_and_its_watch_begin_together(registry: SqlRegistry) -> None:
    trial = watched(registry)
    assert registry.channels("intent") == {Channel.CHAMPION: "v2"}
    assert (trial.kind, trial.version, trial.control) == (TrialKind.WATCH, "v2", "v1")
    assert registry.trials.running() == registry.trials.newest("intent") == [trial]
    assert registry.history("intent")[0].evidence_digest == "d"


def test_a_champion_that_was_moved_meanwhile_is_not_overridden_and_nothing_is_watched(registry: SqlRegistry) -> None:
    registry.move("intent", Channel.CHAMPION, "v3", actor="ann", reason="mine")
    with pytest.raises(Conflict, match="not v1"):
        watched(registry)
    assert registry.channels("intent") == {Channel.CHAMPION: "v3"}
    assert registry.trials.newest("intent") == []


def test_each_user_is_heard_once_on_each_version(registry: SqlRegistry) -> None:
    trial = watched(registry)
    first = [Heard("v2", "u1", True), Heard("v2", "u1", False), Heard("v1", "u1", True), Heard("v2", "u2", False)]
    trial = registry.trials.hear(trial, first, 10)
    assert (trial.voices, trial.control_voices, trial.cursor) == (Voices(1, 1), Voices(1, 0), 10)
    trial = registry.trials.hear(trial, [Heard("v2", "u2", True), Heard("v2", "u3", True)], 20)
    assert trial.voices == Voices(2, 1)
    assert registry.trials.running() == [trial]


def test_of_two_who_watch_one_is_fenced_and_nothing_counts_twice(registry: SqlRegistry, engine: Engine) -> None:
    trial = watched(registry)
    after = registry.trials.hear(trial, [Heard("v2", "u1", True)], 10)
    with pytest.raises(Fenced):
        registry.trials.hear(trial, [Heard("v2", "u9", True)], 10)
    with pytest.raises(Fenced):
        registry.trials.conclude(trial, Conclusion(TrialState.ROLLED_BACK, "bad", "{}"), actor="canary")
    assert registry.trials.running() == [after]
    assert rows(engine)[0] == 1
    assert registry.channels("intent") == {Channel.CHAMPION: "v2"}


def test_a_watch_that_rolls_back_moves_the_pointer_with_its_evidence(registry: SqlRegistry, engine: Engine) -> None:
    trial = registry.trials.hear(watched(registry), [Heard("v2", "u1", False)], 1)
    bad = Conclusion(TrialState.ROLLED_BACK, "Users find it worse.", '{"log_e": 4}')
    registry.trials.conclude(trial, bad, actor="canary")
    assert registry.channels("intent") == {Channel.CHAMPION: "v1"}
    change = registry.history("intent")[0]
    assert (change.actor, change.reason, change.evidence_digest) == ("canary", "Users find it worse.", bad.digest)
    assert registry.earlier_champions("intent") == []  # what was rolled back is not among them
    assert registry.trials.running() == []
    assert rows(engine) == (0, 0)
    with pytest.raises(Fenced):
        registry.trials.conclude(trial, bad, actor="canary")


def test_a_canary_points_its_channel_and_is_promoted_or_withdrawn(registry: SqlRegistry) -> None:
    generation = registry.generation()
    trial = canary(registry)
    assert registry.channels("intent") == {Channel.CHAMPION: "v1", Channel.CANARY: "v2"}
    assert registry.splits() == {"intent": trial.split}
    assert registry.generation() > generation
    registry.trials.conclude(trial, Conclusion(TrialState.PROMOTED, "good", "{}"), actor="canary")
    assert registry.channels("intent") == {Channel.CHAMPION: "v2"}
    assert registry.splits() == {}

    registry.move("intent", Channel.CHAMPION, "v1", actor="ann", reason="back")
    again = canary(registry, "v3")
    registry.trials.conclude(again, Conclusion(TrialState.ROLLED_BACK, "bad", "{}"), actor="canary")
    assert registry.channels("intent") == {Channel.CHAMPION: "v1"}


def test_one_trial_at_a_time(registry: SqlRegistry) -> None:
    canary(registry)
    with pytest.raises(Conflict, match="v2 of intent is on trial"):
        canary(registry, "v3")
    registry.trials.stop("intent", actor="ann", reason="enough")
    with pytest.raises(Conflict, match="no trial"):
        registry.trials.stop("intent", actor="ann", reason="enough")
    with pytest.raises(Conflict, match="against itself"):
        canary(registry, "v1")


def test_who_moves_the_champion_ends_the_trial(registry: SqlRegistry) -> None:
    canary(registry)
    registry.move("intent", Channel.CHAMPION, "v3", actor="ann", reason="I know better")
    ended = registry.trials.newest("intent")[0]
    assert ended.state is TrialState.OVERTAKEN and "I know better" in ended.sentence
    assert registry.channels("intent") == {Channel.CHAMPION: "v3"}

    registry.rollback("intent", actor="ann", reason="or not")
    watched(registry)
    registry.rollback("intent", actor="ann", reason="no")
    assert registry.trials.running() == []
    assert registry.channels("intent") == {Channel.CHAMPION: "v1"}


def test_what_several_processes_count_adds_up_and_is_gone_with_the_trial(registry: SqlRegistry, engine: Engine) -> None:
    trial = canary(registry)
    registry.trials.tally(trial.trial_id, "v2", "a", Served(3, 1, (1, 1)))
    registry.trials.tally(trial.trial_id, "v2", "a", Served(5, 1, (3, 1)))  # the later one instead of the first
    registry.trials.tally(trial.trial_id, "v2", "b", Served(2, 0, (0, 1, 1)))
    assert registry.trials.served(trial.trial_id, "v2") == Served(7, 1, (3, 2, 1))
    assert registry.trials.served(trial.trial_id, "v1") == Served()
    registry.trials.stop("intent", actor="ann", reason="enough")
    registry.trials.tally(trial.trial_id, "v2", "a", Served(9, 1, (9,)))
    assert rows(engine) == (0, 0)
