"""A step's work on several workers, by Ray Train: data-parallel, retried when a worker is lost.

The process that works on the run stays the driver: it holds the lease, writes progress, and when it ends all ends. What
the workers need is sent through Ray's object store, and so are the results; what a lost worker's successor goes on from
lies at the `checkpoint_place`.

Ray Train restarts all workers when one is lost, at most `_RETRIES` times a step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import ray
import ray.exceptions
import ray.train
import ray.train.torch
import torch

from thumbwheel.errors import ThumbwheelError
from thumbwheel.retrain.checkpoint_place import CheckpointPlace, checkpoint_place
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.station import Station, Work
from thumbwheel.workers.gloo import Gloo

Files = Mapping[str, bytes]
"""A folder's files by their names, relative to it."""
News = tuple[int, int, Mapping[str, float]]
"""What a worker tells: done, total, figures."""

_RETRIES: Final = 3
_NEWS_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is sent to every worker. `champion` and `fit` stand for `Files` in Ray's store, `foreman` is the actor."""

    work: Work
    champion: Any
    fit: Any
    checkpoint: CheckpointPlace
    threads: int
    foreman: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What worker 0 returns: the step's figures, and the files it wrote."""

    figures: Mapping[str, Any]
    files: Files


class Foreman:
    """The actor that starts the workers and carries their news to the driver, which asks for it."""

    def __init__(self) -> None:
        """There is no news yet."""
        self._news: SimpleQueue[News] = SimpleQueue()
        self._refusal: ThumbwheelError | None = None

    def fit(self, assignment: Assignment, workers: int) -> Outcome:
        """Run the assignment on n workers to its end.

        Raises:
            ThumbwheelError: workers failed too often, and the last such error was this.
            ray.train.TrainingFailedError: they failed of something else.
        """
        with tempfile.TemporaryDirectory(prefix="thumbwheel-train-") as scratch:
            trainer = ray.train.torch.TorchTrainer(
                _work_at_station,
                train_loop_config={"assignment": assignment},
                torch_config=ray.train.torch.TorchConfig(backend="gloo"),
                scaling_config=ray.train.ScalingConfig(
                    num_workers=workers, resources_per_worker={"CPU": assignment.threads}
                ),
                # Nothing is reported to Ray, whose own checkpoints would lie at the storage path.
                run_config=ray.train.RunConfig(
                    name="step", storage_path=scratch, failure_config=ray.train.FailureConfig(max_failures=_RETRIES)
                ),
            )
            try:
                outcome: Outcome = trainer.fit().return_value
            except ray.train.TrainingFailedError:
                if self._refusal is not None:
                    raise self._refusal from None
                raise
        return outcome

    def refuse(self, error: ThumbwheelError) -> None:
        """Take in why a worker gives up."""
        self._refusal = error

    def tell(self, news: News) -> None:
        """Take in a worker's news."""
        self._news.put(news)

    def news(self, timeout_s: float) -> list[News]:
        """All news since the last call, after waiting for some at most `timeout_s`."""
        try:
            told = [self._news.get(timeout=timeout_s)]
        except Empty:
            return []
        while not self._news.empty():
            told.append(self._news.get())
        return told


def run_on_ray(job: Job, work: Work, out: Path) -> Mapping[str, Any]:
    """Do the work on `learn.workers` workers of the cluster that was joined.

    What worker 0 wrote goes into the folder `out`; its figures are returned. Raises the ThumbwheelError that a worker
    raised last.
    """
    settings, folder = job.plan.settings, job.folder
    place = checkpoint_place(settings.artifacts, job.plan.run_id, folder.checkpoint)
    foreman = ray.remote(num_cpus=0, max_concurrency=4)(Foreman).remote()
    champion, fit = ray.put(_read(job.champion)), ray.put(_read(folder.fit))
    assignment = Assignment(work, champion, fit, place, settings.learn.threads, foreman)
    ended = foreman.fit.remote(assignment, settings.learn.workers)
    while not ray.wait([ended], timeout=0)[0]:
        _pass_on(foreman, job, _NEWS_S)
    _pass_on(foreman, job, 0)
    outcome = _outcome(ended)
    shutil.rmtree(out, ignore_errors=True)
    _write(outcome.files, out)
    place.clear()
    return outcome.figures


def _pass_on(foreman: Any, job: Job, timeout_s: float) -> None:
    for news in ray.get(foreman.news.remote(timeout_s)):
        job.tell(*news)


def _outcome(ended: Any) -> Outcome:
    """What came of it. An error of ours is raised as itself, as if the work had been done here."""
    try:
        outcome: Outcome = ray.get(ended)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ThumbwheelError):
            raise error.cause from None
        raise
    return outcome


def _work_at_station(config: Mapping[str, Assignment]) -> Outcome | None:
    """What runs on every worker, within torch's process group. Whatever is raised fails all workers, and is retried."""
    assignment = config["assignment"]
    torch.set_num_threads(assignment.threads)
    try:
        return _worked(assignment)
    except ThumbwheelError as error:
        ray.get(assignment.foreman.refuse.remote(error))
        raise


def _worked(assignment: Assignment) -> Outcome | None:
    with tempfile.TemporaryDirectory(prefix="thumbwheel-worker-") as name:
        scratch = Path(name)
        place, workers = assignment.checkpoint, Gloo(assignment.checkpoint.put_away)
        station = Station(
            workers=workers,
            champion=_write(ray.get(assignment.champion), scratch / "champion"),
            fit=_write(ray.get(assignment.fit), scratch / "fit"),
            out=scratch / "out",
            checkpoint=place.bring(scratch),
            tell=lambda done, total, figures: _tell(assignment.foreman, workers.rank, (done, total, figures)),
        )
        figures = assignment.work(station)
        return Outcome(figures, _read(station.out)) if workers.rank == 0 else None


def _tell(foreman: Any, rank: int, news: News) -> None:
    if rank == 0:
        ray.get(foreman.tell.remote(news))


def _read(folder: Path) -> Files:
    """All files of a folder; none where there is no such folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _write(files: Files, folder: Path) -> Path:
    """Write files into a folder, which is made, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
