"""Homes with a small policy and votes on what it served, and processes that work on their runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from thumbwheel.config.settings import Data, Gates, Learn, Settings
from thumbwheel.policy.classify import load_classifier, sample_labels
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    PolicyKind,
    Run,
    RunStep,
    VersionRef,
)
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.plan import make_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.runner import Runner
from thumbwheel.store.port import Batch
from thumbwheel.store.sql import open_store

FLOOR = 0.02
ROWS = 500
USERS = 40
LEARN = Learn(classify_epochs=40, niceness=0)
WORDS = {
    "refund": ["money back", "refund please", "return my payment", "charge me less"],
    "parcel": ["where is my parcel", "late delivery", "track the box", "shipping is slow"],
    "account": ["forgot password", "log in fails", "change my email", "close the account"],
}


def texts(count: int, seed: int) -> list[LabelledText]:
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(sorted(WORDS))
        words = [draw.choice(WORDS[label]), draw.choice(["hello", "hi", "please", "now", "today", "thanks"])]
        rows.append(LabelledText(" ".join(draw.sample(words, 2)), label))
    return rows


def make_first_policy(folder: Path) -> Path:
    recipe = ClassifyRecipe(
        labels_per_class=1, vocabulary=150, width=32, feed_forward=32, least_updates=12, least_epochs=2
    )
    pretrain_classify(texts(200, 1), folder, recipe)
    return folder


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

    def __init__(self, home: Path, first: Path, rows: int = ROWS, learn: Learn = LEARN) -> None:
        settings = Settings(
            home=home,
            data=Data(min_votes_classify=100, held_out=0.4),
            learn=learn,
            gates=Gates(max_latency_ratio=50.0, min_effective_samples=20, max_weight_share=0.2, confidence=0.8),
        )
        super().__init__(settings, "desk", PolicyKind.CLASSIFY, first)
        self.fill(first, rows)

    def fill(self, policy: Path, rows: int) -> None:
        asked = texts(rows, 2)
        classifier = load_classifier(policy)
        probs = classifier.probabilities([row.text for row in asked], FLOOR)
        served = sample_labels(probs, torch.Generator().manual_seed(3)).tolist()
        responses, votes = [], []
        for n, (row, label) in enumerate(zip(asked, served, strict=True)):
            name = classifier.labels[label]
            answer = ClassifyAnswer(row.text, label, name, tuple(probs[n].tolist()), FLOOR, classifier.labels)
            user = f"u{n % USERS}"
            ref = VersionRef("desk", "v1", self.digest)
            ids = f"r{n:05}", f"q{n:05}"
            responses.append(LoggedResponse(*ids, ref, Channel.CHAMPION, "", user, "", 1_000 + n, "", answer))
            up = name == row.label
            votes.append(
                Feedback(f"f{n}", f"r{n:05}", user, "", "desk", "v1", FeedbackKind.THUMB, 2_000 + n, thumb_up=up)
            )
        self.store.apply(Batch("test", "all", 0, 0, rows, responses, votes, list(range(rows))))


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
