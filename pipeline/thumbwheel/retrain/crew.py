"""The workers of a step: this process alone, or several of Ray Train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.station import Station, Work
from thumbwheel.workers.alone import Alone


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
