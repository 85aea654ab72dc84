"""What every learner's report begins with: who was improved, from what, and how it went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from thumbwheel.durable import write_whole
from thumbwheel.gates.evidence import Votes
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.report.data import Curve, ReportData
from thumbwheel.retrain.run_folder import RunFolder


def report_head(job: Job, votes: Votes) -> ReportData:
    """The run's inputs, and the votes that were learned from; the learner adds what it measured."""
    plan = job.plan
    return ReportData(
        policy=plan.policy,
        kind=plan.kind,
        run_id=plan.run_id,
        champion=plan.parent,
        candidate="candidate",
        votes_up=votes.positive,
        votes_down=votes.negative,
        per_rater=votes.per_rater,
        lineage={"Champion": plan.parent, "Watermark": str(plan.watermark), "Snapshot": job.snapshot.digest},
        config=plan.settings.learn.model_dump(mode="json"),
        seeds={"run": plan.seed},
    )


def save_history(folder: RunFolder, history: Sequence[Mapping[str, float]]) -> None:
    """Keep the figures of each iteration (or epoch) of learning."""
    folder.improve.mkdir(exist_ok=True)
    write_whole(folder.history, json.dumps([dict(figures) for figures in history]))


def curves(folder: RunFolder, shown: Mapping[str, tuple[str, str]], x_label: str = "iteration") -> list[Curve]:
    """What `save_history` kept, as curves; `shown` maps a figure's name to (title, unit)."""
    if not folder.history.exists():  # nothing was learned here: a version is judged that was learned elsewhere
        return []
    history = json.loads(folder.history.read_text(encoding="utf-8"))
    return [
        Curve(title, {title: [figures[name] for figures in history]}, unit, x_label)
        for name, (title, unit) in shown.items()
        if history and name in history[0]
    ]
