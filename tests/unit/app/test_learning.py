"""Runs that an operator asks for where they would begin at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from answered import answer_and_vote
from recorded_batch import recorded_batch

from thumbwheel.app.learning import TrainingLoop, learning
from thumbwheel.config.settings import Data, Settings
from thumbwheel.errors import Conflict, NotEnoughData, RunInProgress
from thumbwheel.records import Channel, FeedbackKind, PolicyKind, VersionRef
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

LEAST = 10


class Desk:
    """A loop on a home with two policies of one version, whose workers wait until they are stopped."""

    def __init__(self, home: Path, store: FeedbackStore, registry: SqlRegistry, loop: TrainingLoop) -> None:
        self.store, self.registry, self.loop = store, registry, loop
        made = home / "made"
        made.mkdir()
        for name in ("config.json", "model.safetensors"):
            (made / name).write_text("first")
        for policy in ("p", "other"):
            registry.publish(NewVersion(policy, PolicyKind.CLASSIFY), made)

    def promote(self, policy: str = "p") -> None:
        self.registry.move(policy, Channel.CHAMPION, "v1", actor="test", reason="first")

    def vote(self, number: int, kind: FeedbackKind = FeedbackKind.THUMB, version: str = "v1") -> None:
        """One more vote, on an answer of a version."""
        response, thumb = answer_and_vote(number, user=f"u{number}")
        rated = replace(response, ref=VersionRef("p", version, "d"))
        vote = (
            thumb
            if kind is FeedbackKind.THUMB
            else replace(thumb, kind=kind, thumb_up=None, ranking=(response.response_id, "r"))
        )
        at = self.store.offset("c", "t", 0)
        batch = recorded_batch("c", "t", 0, at, at + 1, [rated], [replace(vote, policy_version=version)])
        self.store.apply(batch)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    waiting = tmp_path / "waiting"
    waiting.write_text("#!/bin/sh\nexec cat\n")
    waiting.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(waiting))
    settings = Settings(home=tmp_path, data=Data(min_votes_classify=LEAST))
    with ExitStack() as stack:
        store = open_store(settings.database_url)
        stack.callback(store.close)
        registry = SqlRegistry(settings.database_url, LocalArtifacts(settings.versions_dir))
        stack.callback(registry.close)
        yield Desk(tmp_path, store, registry, stack.enter_context(learning(settings, store, registry)))


def test_a_run_that_can_not_succeed_for_want_of_votes_is_refused_at_once(desk: Desk) -> None:
    desk.promote()
    for number in range(LEAST - 1):
        desk.vote(number)
    for number in range(LEAST, 2 * LEAST):
        desk.vote(number, FeedbackKind.RANKING)
    cure = "wait for more votes, or lower data.min_votes_classify"
    with pytest.raises(NotEnoughData, match=f"^p: {LEAST - 1} votes to learn from, it takes {LEAST}; {cure}$"):
        desk.loop.start_run("p", "ann")
    assert desk.store.runs() == []
    assert desk.store.audit_trail("p", 10) == []


def test_votes_that_teach_let_a_run_begin_and_others_do_not(desk: Desk) -> None:
    desk.promote()
    for number in range(3 * LEAST):
        desk.vote(number, version="v9")
    with pytest.raises(NotEnoughData, match=rf"^p: 0 votes to learn from, it takes {LEAST} \("):
        desk.loop.start_run("p", "ann")
    assert desk.store.runs() == []
    for number in range(3 * LEAST, 6 * LEAST):
        desk.vote(number)
    run_id = desk.loop.start_run("p", "ann")
    assert desk.loop.runner.active() == run_id


def test_what_else_is_in_the_way_is_said_first(desk: Desk) -> None:
    with pytest.raises(Conflict, match="no champion"):
        desk.loop.start_run("p", "ann")
    desk.promote()
    desk.promote("other")
    run_id = desk.loop.runner.start("other", "schedule", "votes")  # which counts for itself, and asks nobody
    rule = "one run at a time goes on in a home, whatever its policy"
    with pytest.raises(RunInProgress, match=f"^run {run_id} is under way; wait for it to end: {rule}$"):
        desk.loop.start_run("p", "ann")
