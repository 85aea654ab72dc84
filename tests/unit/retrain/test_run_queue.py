"""Runs that are asked for where nothing trains, and runs that another home has left behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thumbwheel.app.queueing import QueuedRuns
from thumbwheel.config.settings import Schedule, Settings
from thumbwheel.errors import Conflict, RunInProgress, UnknownPolicy
from thumbwheel.records import AuditAction, Channel, PolicyKind, Run, RunState, RunStep
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain import runner as module
from thumbwheel.retrain.queue import enqueue, queued
from thumbwheel.retrain.runner import Runner
from thumbwheel.retrain.schedule import Scheduler, begin, due_now
from thumbwheel.retrain.standing import Standings
from thumbwheel.store.sql import open_store

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AGO_US = 1_000_000


class Bench:
    """A store and a registry with the policies `desk` and `chat`, and a home whose workers end as the test says."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = Settings(home=home)
        self.store = open_store(self.settings.database_url)
        self.registry = SqlRegistry(self.settings.database_url, LocalArtifacts(self.settings.versions_dir))
        made = home / "made"
        made.mkdir()
        for name in ("config.json", "model.safetensors"):
            (made / name).write_text("first")
        for policy in ("chat", "desk"):
            self.registry.publish(NewVersion(policy, PolicyKind.CLASSIFY), made)
            self.registry.move(policy, Channel.CHAMPION, "v1", actor="test", reason="first")
        self.runner = Runner(self.store, self.registry, self.settings)

    def elsewhere(self) -> Runner:
        """The runner of another home."""
        return Runner(self.store, self.registry, self.settings.model_copy(update={"home": self.home / "other"}))

    def ask(self, policy: str) -> str:
        return enqueue(self.store, self.registry, policy, "ann", "asked for")

    def state(self, run_id: str) -> RunState:
        run = self.store.run(run_id)
        assert run is not None
        return run.state

    def left_running(self, policy: str, run_id: str, *, at_work: bool) -> Run:
        lease = self.store.acquire_lease(policy, run_id, 60)
        run = Run(run_id, policy, RunState.RUNNING, RunStep.FIT, "v1", LONG_AGO_US)
        self.store.save_run(run, lease)
        if not at_work:
            self.store.release_lease(lease)
        return run


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Whose workers end at once, without a word about their run: another one has it."""
    script = tmp_path / "fenced"
    script.write_text("#!/bin/sh\nexit 76\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    made = Bench(tmp_path)
    yield made
    made.runner.stop()
    made.store.close()
    made.registry.close()


def test_a_run_that_was_asked_for_is_begun_under_its_id(bench: Bench) -> None:
    run_id = bench.ask("desk")
    asked = bench.store.run(run_id)
    assert asked is not None and (asked.state, asked.step, asked.parent_version) == (
        RunState.QUEUED,
        RunStep.FREEZE,
        "v1",
    )
    [entry] = bench.store.audit_trail("desk", 10)
    assert (entry.action, entry.actor, entry.subject) == (AuditAction.RUN_QUEUED, "ann", run_id)
    scheduler = Scheduler(bench.runner, bench.store, bench.registry, Schedule())
    assert scheduler.look() == run_id
    assert bench.state(run_id) is RunState.RUNNING
    assert queued(bench.store) == []


def test_of_a_policy_one_waits_and_none_while_one_is_at_work(bench: Bench) -> None:
    first = bench.ask("desk")
    with pytest.raises(RunInProgress, match=f"{first} waits already: .*--watch"):
        bench.ask("desk")
    bench.left_running("chat", "chat-1", at_work=True)
    with pytest.raises(RunInProgress, match="chat-1"):
        bench.ask("chat")
    with pytest.raises(UnknownPolicy):
        bench.ask("nothing")
    assert [run.run_id for run in queued(bench.store)] == [first]


def test_one_that_waits_for_its_policy_keeps_no_other_waiting(bench: Bench) -> None:
    chat = bench.ask("chat")
    desk = bench.ask("desk")
    bench.left_running("chat", "chat-0", at_work=True)
    standings = Standings(bench.store, Schedule(), NEVER, lambda: datetime.now(UTC))
    assert [one.run_id for one in due_now(bench.store, bench.registry, standings)] == [chat, desk]
    assert Scheduler(bench.runner, bench.store, bench.registry, Schedule()).look() == desk
    assert bench.state(chat) is RunState.QUEUED


def test_one_that_can_not_be_begun_has_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = bench.ask("desk")
    standings = Standings(bench.store, Schedule(), NEVER, lambda: datetime.now(UTC))
    (due,) = due_now(bench.store, bench.registry, standings)
    monkeypatch.setattr(bench.registry, "channels", lambda policy: {})
    with pytest.raises(Conflict, match="no champion"):
        begin(bench.runner, due)
    run = bench.store.run(run_id)
    assert run is not None and run.state is RunState.FAILED and "no champion" in run.error
    assert queued(bench.store) == []


def test_a_home_goes_on_with_its_own_runs_alone(bench: Bench) -> None:
    bench.left_running("desk", "desk-0", at_work=False)
    other = bench.elsewhere()
    assert other.resume() == []
    assert bench.state("desk-0") is RunState.RUNNING
    bench.runner.folder("desk-0").path.mkdir(parents=True)
    assert bench.runner.resume() == ["desk-0"]
    assert bench.runner.wait(60)


def test_what_a_home_that_is_gone_left_running_is_closed_when_the_next_run_begins(bench: Bench) -> None:
    bench.left_running("desk", "desk-0", at_work=True)
    with pytest.raises(RunInProgress, match="desk-0"):
        bench.runner.start("desk", "ann", "asked for")
    assert bench.state("desk-0") is RunState.RUNNING
    bench.left_running("desk", "desk-0", at_work=False)
    bench.left_running("chat", "chat-0", at_work=False)
    run_id = bench.runner.start("desk", "ann", "asked for")
    gone = bench.store.run("desk-0")
    assert gone is not None and gone.state is RunState.FAILED and "gone" in gone.error and gone.ended_us > 0
    assert (bench.state(run_id), bench.state("chat-0")) == (RunState.RUNNING, RunState.RUNNING)


def test_operators_see_a_queued_run_and_the_step_of_one_in_another_home(bench: Bench) -> None:
    loop = QueuedRuns(bench.store, bench.registry, bench.settings)
    assert loop.schedule("desk").running_run_id == ""
    run_id = loop.start_run("desk", "ann")
    waiting = loop.schedule("desk")
    assert (waiting.running_run_id, waiting.running_step) == (run_id, "queued")
    run = bench.left_running("chat", "chat-0", at_work=True)
    seen = loop.schedule("chat")
    assert (seen.running_run_id, seen.running_step, seen.running_progress) == ("chat-0", "fit", 0.0)
    folder = bench.runner.folder("chat-0")
    folder.path.mkdir(parents=True)
    folder.tell(RunStep.IMPROVE, 3, 4)
    assert (loop.schedule("chat").running_step, loop.schedule("chat").running_progress) == ("improve", 0.75)
    shutil.rmtree(folder.path)
    lease = bench.store.acquire_lease("chat", "chat-0", 60)
    bench.store.save_run(replace(run, state=RunState.REJECTED), lease)
    assert loop.schedule("chat").running_run_id == ""
