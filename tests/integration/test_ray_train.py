"""Runs on two workers of a real Ray Train: a worker is killed in each step that has some, and so is the run itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import refusing_work
from artifact_stores import s3_settings
from desk import first_desk
from generate_world import LEARN, GenerateWorld, make_first_generator
from s3_server import S3Gateway
from training_world import TrainingWorld, World, end, gates, kill, watch

from thumbwheel.config.settings import Learn
from thumbwheel.records import RunState, RunStep
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.retrain.exits import Exit
from thumbwheel.retrain.plan import load_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("ray_train")]

TWO = LEARN.model_copy(update={"workers": 2})
PATIENCE_S = 900.0  # Ray takes its time to begin, on a busy machine above all


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files with a short name: sockets below it have names of 107 bytes at most."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="tw") as name:
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def ray_processes(worker: subprocess.Popen[bytes], title: str) -> list[psutil.Process]:
    """Processes below the run's whose title begins so."""
    found = []
    for process in psutil.Process(worker.pid).children(recursive=True):
        try:
            if "".join(process.cmdline()).startswith(title):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_a_worker_at_work(worker: subprocess.Popen[bytes], tmp: Path) -> None:
    """Kill one of Ray's workers once both have begun, and wait until all of its group have gone."""
    while len(list(tmp.glob("thumbwheel-worker-*/fit"))) < 2:
        assert worker.poll() is None
        time.sleep(0.01)
    group = ray_processes(worker, "ray::RayTrainWorker")
    assert len(group) == 2
    group[1].kill()
    psutil.wait_procs(group, PATIENCE_S)
    for left in tmp.glob("thumbwheel-worker-*"):
        left.rename(tmp / f"dead-{left.name}")


def finish(world: TrainingWorld, folder: RunFolder) -> None:
    while (status := end(world.worker(folder), PATIENCE_S)) == Exit.AWAY:
        continue  # Ray gives itself half a minute to start, which is little on a busy machine
    assert status == Exit.FINISHED, folder.log.read_text()


Worker = subprocess.Popen[bytes]


def go_on(
    world: TrainingWorld, folder: RunFolder, step: RunStep, done: int = 0, worker: Worker | None = None
) -> Worker:
    """Return the run's process as soon as it is so far; where Ray did not start in time, that is another one."""
    worker = worker or world.worker(folder)
    while True:
        try:
            watch(worker, folder, step, done)
            return worker
        except AssertionError:
            if worker.poll() != Exit.AWAY:
                raise
        worker = world.worker(folder)


def test_a_run_whose_workers_and_process_are_killed_comes_to_the_same_verdict_and_candidate(
    tmp_path: Path, short_tmp: Path, s3_gateway: S3Gateway
) -> None:
    first = make_first_generator(tmp_path / "v1")
    plain = GenerateWorld(tmp_path / "plain", first, TWO)
    folder = plain.plan()
    broken = GenerateWorld(tmp_path / "broken", first, TWO, s3_settings(s3_gateway))
    killed = RunFolder(broken.settings.runs_dir / folder.path.name)
    save_plan(replace(load_plan(folder.path), settings=broken.settings), killed.path)

    finish(plain, folder)

    kill(go_on(broken, killed, RunStep.FREEZE))
    worker = go_on(broken, killed, RunStep.FIT)
    kill_a_worker_at_work(worker, short_tmp)
    worker = go_on(broken, killed, RunStep.IMPROVE, 6, worker)  # one after the first checkpoint
    store = open_store(broken.settings.artifacts)
    checkpoint = f".runs/{killed.path.name}/checkpoint.safetensors"
    assert checkpoint.removeprefix(".runs/") in store.sizes(".runs")
    kill(worker)
    for left in short_tmp.glob("thumbwheel-worker-*"):
        left.rename(short_tmp / f"dead-{left.name}")
    worker = broken.worker(killed)
    kill_a_worker_at_work(worker, short_tmp)
    kill(go_on(broken, killed, RunStep.JUDGE, 0, worker))
    finish(broken, killed)

    undisturbed, resumed = plain.run(folder.path.name), broken.run(folder.path.name)
    assert undisturbed.state is resumed.state is not RunState.FAILED, (undisturbed.error, resumed.error)
    assert gates(undisturbed) == gates(resumed) != []
    for name in ("candidate/model.safetensors", "fit/reward.safetensors", "improve/history.json"):
        assert (folder.path / name).read_bytes() == (killed.path / name).read_bytes()
    assert (folder.path / "candidate/model.safetensors").read_bytes() != (first / "model.safetensors").read_bytes()
    assert store.sizes(".runs") == {}
    assert folder.log.read_text() == "", "what Ray says is not for the run's output"
    plain.close()
    broken.close()


def test_what_a_worker_refuses_reaches_the_run(tmp_path: Path, short_tmp: Path) -> None:
    done = subprocess.run(
        [sys.executable, refusing_work.__file__, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "Unavailable: the store is away {'retry_after_s': 7.0}"
    assert done.stderr == ""


def test_a_terminated_run_ends_its_workers_and_can_be_resumed_with_one(tmp_path: Path, short_tmp: Path) -> None:
    first = first_desk(tmp_path / "v1")
    world = World(tmp_path / "home", first, workers=2)
    folder = world.plan()
    worker = go_on(world, folder, RunStep.IMPROVE, 1)
    below = psutil.Process(worker.pid).children(recursive=True)
    assert len([one for one in below if "RayTrainWorker" in "".join(one.cmdline())]) == 2
    worker.send_signal(signal.SIGTERM)
    assert end(worker) == Exit.STOPPED
    assert psutil.wait_procs(below, 30)[1] == []
    assert folder.log.read_text() == ""
    assert folder.checkpoint.exists()
    plan = load_plan(folder.path)
    alone = plan.settings.model_copy(update={"learn": Learn(classify_epochs=40, niceness=0)})
    save_plan(replace(plan, settings=alone), folder.path)
    finish(world, folder)
    assert world.run(folder.path.name).state is RunState.PROMOTED
    world.close()
