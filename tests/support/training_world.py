"""Homes with a small policy and votes on what it served, and processes that work on their runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from desk import SETTINGS, rate_desk

from thumbwheel.config.settings import Settings
from thumbwheel.records import (
    Channel,
    PolicyKind,
    Run,
    RunStep,
)
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.plan import make_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.runner import Runner
from thumbwheel.store.sql import open_store

ROWS = 500


class TrainingWorld:
    """A home with a policy, as a service would have left it; `fill` brings the votes."""

    def __init__(self, settings: Settings, policy: str, kind: PolicyKind, first: Path) -> None:
        self.settings = settings
        self.policy = policy
        settings.home.mkdir()
        self.store = open_store(settings.database_url)
        self.registry = SqlRegistry(settings.database_url, open_artifacts(settings))
        made = self.registry.publish(NewVersion(policy, kind), first)
        self.registry.move(policy, Channel.CHAMPION, "v1", actor="test", reason="first")
        self.digest = made.digest
        self.runner = Runner(self.store, self.registry, settings)

    def run(self, run_id: str) -> Run:
        run = self.store.run(run_id)
        assert run is not None
        return run

    def plan(self) -> RunFolder:
        """Plan a run without starting it."""
        plan = make_plan(self.store, self.registry, self.settings, self.policy)
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


class World(TrainingWorld):
    """One with a small classifier, and votes on what it served."""

    def __init__(self, home: Path, first: Path, rows: int = ROWS, **learn: object) -> None:
        sections = {**SETTINGS, "learn": {**SETTINGS["learn"], **learn}}
        settings = Settings.model_validate({"home": home, **sections})
        super().__init__(settings, "desk", PolicyKind.CLASSIFY, first)
        rate_desk(self.store, first, self.digest, rows)


def end(worker: subprocess.Popen[bytes], timeout_s: float = 200) -> int:
    """Wait for a worker's own end."""
    status = worker.wait(timeout_s)
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
