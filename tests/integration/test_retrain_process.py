"""Training in a process of its own: by schedule until it is stopped, and once for a cron job, with what it ends as."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import COMMAND, RunningCommand, write_config
from desk import SETTINGS, first_desk, rate_desk

from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.records import Channel, PolicyKind, Run, RunState, RunStep
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.queue import enqueue
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS = 500


@pytest.fixture(scope="module")
def first_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_desk(tmp_path_factory.mktemp("policy") / "v1")


@dataclass
class Desk:
    """A home with a policy and votes, and the commands that train there."""

    config: Path
    settings: Settings
    store: FeedbackStore
    registry: SqlRegistry

    def once(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "--config", str(self.config), *arguments, "retrain", "--once"]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def started(self) -> subprocess.Popen[str]:
        command = [*COMMAND, "--config", str(self.config), "retrain", "--once"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def newest(self) -> Run | None:
        return next(iter(self.store.runs("desk", 1)), None)

    def in_step(self, step: RunStep) -> bool:
        newest = self.newest()
        told = RunFolder(self.settings.runs_dir / newest.run_id).progress() if newest else None
        return told is not None and told.step == step


@pytest.fixture
def desk(tmp_path: Path, first_policy: Path) -> Iterator[Desk]:
    home = tmp_path / "home"
    home.mkdir()
    settings = Settings(home=home)
    store = open_store(settings.database_url)
    registry = SqlRegistry(connect(settings.database_url), LocalArtifacts(settings.versions_dir))
    made = registry.publish(NewVersion("desk", PolicyKind.CLASSIFY), first_policy)
    registry.move("desk", Channel.CHAMPION, "v1", actor="test", reason="first")
    rate_desk(store, first_policy, made.digest, ROWS)
    config = write_config(tmp_path / "thumbwheel.toml", {"probes": {"retrain_port": 0}, **SETTINGS}, home=home)
    yield Desk(config, settings, store, registry)
    registry.close()
    store.close()


def until(reached: Callable[[], bool]) -> None:
    while not reached():
        time.sleep(0.05)


def test_a_watch_trains_when_votes_are_in_and_what_it_is_stopped_in_goes_on(desk: Desk) -> None:
    with RunningCommand(desk.config, "--set", "schedule.min_new_votes=100", "retrain", "--watch") as watch:
        assert watch.said.startswith("training after 100 new votes, when asked; runs in ")
        until(lambda: desk.in_step(RunStep.IMPROVE))
        newest = desk.newest()
        assert newest is not None
        assert watch.health() == {"status": "serving", "parts": {"run": newest.run_id}}
        assert watch.stop() == 0
    stopped = desk.store.run(newest.run_id)
    assert stopped is not None and stopped.state is RunState.RUNNING
    done = desk.once("--set", "schedule.min_new_votes=100")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert done.stdout.startswith(f"desk: {newest.run_id} promoted: ")
    assert desk.registry.channels("desk") == {Channel.CHAMPION: "v2"}
    again = desk.once("--set", "schedule.min_new_votes=100")
    assert (again.returncode, again.stdout) == (0, "nothing was due\n")


def test_once_stopped_says_that_it_is_to_be_called_again(desk: Desk) -> None:
    with desk.started() as once:
        until(lambda: desk.in_step(RunStep.FREEZE) or desk.in_step(RunStep.IMPROVE))
        once.send_signal(signal.SIGTERM)
        assert once.wait(60) == 75
        assert once.stdout is not None
        assert "running: it goes on at the next start" in once.stdout.read()
    done = desk.once()
    assert done.returncode == 0 and "promoted" in done.stdout, done.stderr


def test_once_tells_a_failed_run_by_its_status(desk: Desk) -> None:
    weights = desk.settings.versions_dir / "desk" / "v1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    done = desk.once("--set", "schedule.min_new_votes=100")
    assert done.returncode == 1 and "failed: " in done.stdout, done.stderr
    newest = desk.newest()
    assert newest is not None and newest.state is RunState.FAILED and newest.run_id in done.stdout


def test_once_leaves_a_policy_that_is_at_work_elsewhere_and_says_so(desk: Desk) -> None:
    desk.store.acquire_lease("desk", "desk-elsewhere", 600)
    command = [*COMMAND, "--config", str(desk.config), "retrain", "--once", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [outcome] = json.loads(done.stdout)
    assert (outcome["policy"], outcome["run_id"]) == ("desk", "") and "desk-elsewhere" in outcome["problem"]
    assert desk.newest() is None


def test_a_watch_begins_what_was_asked_for(desk: Desk) -> None:
    run_id = enqueue(desk.store, desk.registry, "desk", "ann", "asked for")
    with RunningCommand(desk.config, "retrain", "--watch") as watch:
        until(lambda: (run := desk.store.run(run_id)) is not None and run.state is RunState.PROMOTED)
        until(lambda: watch.metric("thumbwheel_runs_total", 'policy="desk",state="promoted"') == 1)
