"""Runs in real processes on a small policy: killed at every step, resumed, two at once, taken over, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from desk import SETTINGS, first_desk, rate_desk

from thumbwheel.config.settings import Artifacts, Settings
from thumbwheel.errors import RunInProgress
from thumbwheel.records import (
    Channel,
    PolicyKind,
    Run,
    RunState,
    RunStep,
)
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.exits import Exit
from thumbwheel.retrain.lock import RunLease, locked
from thumbwheel.retrain.plan import load_plan, make_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.runner import Runner
from thumbwheel.store.sql import open_store

ROWS = 500
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_desk(tmp_path_factory.mktemp("policy") / "v1")


class World:
    """A home with a policy and votes, as a service would have left it."""

    def __init__(self, home: Path, policy: Path, rows: int = ROWS) -> None:
        self.settings = Settings.model_validate({"home": home, **SETTINGS})
        home.mkdir()
        self.store = open_store(self.settings.database_url)
        self.registry = SqlRegistry(self.settings.database_url, LocalArtifacts(self.settings.versions_dir))
        made = self.registry.publish(NewVersion("desk", PolicyKind.CLASSIFY), policy)
        self.registry.move("desk", Channel.CHAMPION, "v1", actor="test", reason="first")
        self.digest = made.digest
        rate_desk(self.store, policy, self.digest, rows)
        self.runner = Runner(self.store, self.registry, self.settings)

    def run(self, run_id: str) -> Run:
        run = self.store.run(run_id)
        assert run is not None
        return run

    def plan(self) -> RunFolder:
        """Plan a run without starting it."""
        plan = make_plan(self.store, self.registry, self.settings, "desk")
        folder = RunFolder(self.settings.runs_dir / plan.run_id)
        save_plan(plan, folder.path)
        return folder

    def worker(self, folder: RunFolder, *more: str) -> subprocess.Popen[bytes]:
        """A worker on a planned run, as any supervisor would start it."""
        given = ["--home", str(self.settings.home), "--run-id", folder.path.name, *more]
        with folder.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "thumbwheel.retrain.worker", *given],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
            )

    def close(self) -> None:
        self.runner.stop()
        self.store.close()
        self.registry.close()


@pytest.fixture
def world(tmp_path: Path, first_policy: Path) -> Iterator[World]:
    made = World(tmp_path / "home", first_policy)
    yield made
    made.close()


def end(worker: subprocess.Popen[bytes]) -> int:
    """Wait for a worker's own end."""
    status = worker.wait(200)
    assert worker.stdin is not None
    worker.stdin.close()
    return status


def watch(worker: subprocess.Popen[bytes], folder: RunFolder, step: RunStep, done: int = 0) -> None:
    """Return as soon as the worker is in a step, `done` units of work into it, or further."""
    order = list(RunStep)
    while worker.poll() is None:
        seen = folder.progress()
        if seen and (order.index(seen.step), seen.done) >= (order.index(step), done):
            return
        time.sleep(0.002)
    raise AssertionError(folder.log.read_text())


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGKILL)
    assert end(worker) == -signal.SIGKILL


def gates(run: Run) -> list[tuple[str, bool, float]]:
    """What the same inputs decide: every gate but the one that holds a watch."""
    return [(gate.name, gate.passed, gate.value) for gate in run.gates if gate.name != "latency"]


@pytest.mark.timeout(900)  # several processes import torch, which takes its time on a busy machine
def test_a_run_killed_at_every_step_comes_to_the_same_verdict_and_candidate(tmp_path: Path, first_policy: Path) -> None:
    world = World(tmp_path / "undisturbed", first_policy)
    folder = world.plan()
    killed_world = World(tmp_path / "killed", first_policy)
    killed = RunFolder(killed_world.settings.runs_dir / folder.path.name)
    save_plan(load_plan(folder.path), killed.path)  # a plan is good in any home

    assert end(world.worker(folder)) == Exit.FINISHED, folder.log.read_text()
    for step in RunStep:
        worker = killed_world.worker(killed)
        watch(worker, killed, step, done=3 if step is RunStep.IMPROVE else 0)
        kill(worker)
    assert end(killed_world.worker(killed)) == Exit.FINISHED, killed.log.read_text()

    undisturbed, resumed = world.run(folder.path.name), killed_world.run(folder.path.name)
    assert undisturbed.state is resumed.state is RunState.PROMOTED, undisturbed.summary
    assert gates(undisturbed) == gates(resumed) != []
    made, made_again = (w.registry.manifest("desk", "v2") for w in (world, killed_world))
    assert made.digest == made_again.digest != world.digest
    assert (made.parent, made.run_id, made.watermark) == ("v1", folder.path.name, ROWS)
    for one in (world, killed_world):
        assert one.registry.channels("desk") == {Channel.CHAMPION: "v2"}
        assert [change.version for change in one.registry.history("desk")] == ["v2", "v1"]
        assert one.registry.history("desk")[0].evidence_digest.startswith("sha256:")
        assert len(one.registry.versions("desk")) == 2
    assert "report.html" in resumed.report_path and "<html" in killed.report.read_text()
    world.close()
    killed_world.close()


def test_a_run_dies_with_its_service_and_the_next_one_resumes_it(world: World) -> None:
    folder = world.plan()
    plan = load_plan(folder.path)
    with RunLease(world.store, "desk", plan.run_id) as held:
        run = Run(plan.run_id, "desk", RunState.RUNNING, RunStep.FREEZE, "v1", plan.started_us)
        world.store.save_run(run, held.lease)
    worker = world.worker(folder, "--die-with-parent")
    watch(worker, folder, RunStep.FREEZE)
    assert worker.stdin is not None
    worker.stdin.close()  # as the kernel does it for a process that is killed
    assert worker.wait(60) == Exit.STOPPED
    assert world.run(plan.run_id).state is RunState.RUNNING
    assert world.runner.resume() == [plan.run_id]
    with pytest.raises(RunInProgress, match=plan.run_id):
        world.runner.start("desk", "ann", "asked for")
    assert world.runner.wait(200)
    assert world.run(plan.run_id).state is RunState.PROMOTED, folder.log.read_text()
    assert world.runner.resume() == []


def test_a_run_whose_versions_can_not_be_reached_waits_for_them(world: World) -> None:
    folder = world.plan()
    plan = load_plan(folder.path)
    nobody = Artifacts(url="s3://nobody/versions", endpoint_url="http://127.0.0.1:1", timeout_s=0.5)
    save_plan(replace(plan, settings=plan.settings.model_copy(update={"artifacts": nobody})), folder.path)
    assert end(world.worker(folder)) == Exit.AWAY, folder.log.read_text()
    assert "the artifact store s3://nobody/versions is unavailable" in folder.log.read_text()
    assert world.run(plan.run_id).state is RunState.RUNNING
    assert json.loads((folder.path / "attempts.json").read_text())[RunStep.FIT] == 0
    save_plan(plan, folder.path)
    assert end(world.worker(folder)) == Exit.FINISHED, folder.log.read_text()
    assert world.run(plan.run_id).state is RunState.PROMOTED


def test_a_second_run_is_refused_while_one_holds_the_lease(world: World) -> None:
    folder = world.plan()
    with RunLease(world.store, "desk", "another-run"):
        with pytest.raises(RunInProgress, match="another-run"):
            world.runner.start("desk", "ann", "asked for")
        assert end(world.worker(folder)) == Exit.BUSY
    with locked(folder.lock):
        assert end(world.worker(folder)) == Exit.BUSY
    assert folder.progress() is None


def test_a_worker_that_was_taken_over_stops_and_writes_nothing(world: World) -> None:
    folder = world.plan()
    worker = world.worker(folder)
    watch(worker, folder, RunStep.FREEZE)
    lease = world.store.acquire_lease("desk", folder.path.name, 60)
    assert end(worker) == Exit.FENCED, folder.log.read_text()
    assert folder.record(RunStep.IMPROVE) is None
    assert world.registry.channels("desk") == {Channel.CHAMPION: "v1"}
    assert world.store.renew_lease(lease, 60).fence == lease.fence


def test_a_stopped_service_leaves_its_run_to_be_resumed(world: World) -> None:
    run_id = world.runner.start("desk", "ann", "asked for")
    world.runner.stop()
    assert world.run(run_id).state is RunState.RUNNING
    with pytest.raises(RunInProgress, match="stopping"):
        world.runner.start("desk", "ann", "asked for")
    assert Runner(world.store, world.registry, world.settings).active() == ""
