"""What one worker of a step has before it: its inputs, the others, and where its results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumbwheel.retrain.learner import Job, Tell
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers


@dataclass(frozen=True, slots=True)
class Station:
    """Where a worker works. Worker 0 tells, and writes the step's results into the folder `out`.

    `champion` and `fit` are folders that are read only; `fit` has the reward model, where there is one yet. The update
    goes on from the file `checkpoint`, if it is there.
    """

    workers: Workers
    champion: Path
    fit: Path
    out: Path
    checkpoint: Path
    tell: Tell


Work = Callable[[Station], Mapping[str, Any]]
"""What every worker of a step does; returns the step's figures, the same on each. Sent to other machines by pickle."""


def run_work(job: Job, work: Work, out: Path) -> Mapping[str, Any]:
    """Let the step's workers do their work, with its results in the folder `out`; return its figures.

    One worker (`learn.workers`) works in this process; more are started by Ray Train, which is not imported before.
    """
    if job.plan.settings.learn.workers == 1:
        return work(Station(Alone(), job.champion, job.folder.fit, out, job.folder.checkpoint, job.tell))
    from thumbwheel.retrain.ray_cluster import ray_cluster

    with ray_cluster(job.plan.settings):
        from thumbwheel.retrain.on_ray import run_on_ray

        return run_on_ray(job, work, out)
