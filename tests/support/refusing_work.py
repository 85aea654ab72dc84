"""A step whose workers refuse, on two workers of Ray Train: `python refusing_work.py FOLDER` prints what is raised."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from thumbwheel.config.settings import Data, Learn, Settings
from thumbwheel.dataset import snapshot
from thumbwheel.dataset.manifest import Counts, Request, SnapshotManifest
from thumbwheel.errors import ThumbwheelError, Unavailable
from thumbwheel.records import PolicyKind
from thumbwheel.retrain.crew import run_work
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.station import Station


def refuse(station: Station) -> Mapping[str, Any]:
    """Worker 0 refuses, the others wait for it."""
    if station.workers.rank == 0:
        raise Unavailable("the store is away", 7.0)
    station.workers.add_up(torch.zeros(1))
    return {}


def nothing_frozen(folder: Path) -> snapshot.Snapshot:
    """A snapshot without a row."""
    digest = snapshot.write_rows(folder, ())
    request = Request.of("desk", PolicyKind.CLASSIFY, 0, Data(), 0)
    snapshot.write_manifest(folder, SnapshotManifest(request, digest, digest, 0, Counts()))
    return snapshot.Snapshot(folder)


def main(home: Path) -> None:
    """Let them, and say what came of it."""
    settings = Settings(home=home, learn=Learn(workers=2))
    plan = Plan("run", "desk", PolicyKind.CLASSIFY, "v1", ("v1",), 0, 0, 0, settings)
    folder = RunFolder(home / "run")
    folder.fit.mkdir(parents=True)
    job = Job(plan, folder, nothing_frozen(folder.snapshot), folder.fit, lambda done, total, figures: None)
    try:
        run_work(job, refuse, folder.candidate)
    except ThumbwheelError as error:
        sys.stdout.write(f"{type(error).__name__}: {error} {vars(error)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
