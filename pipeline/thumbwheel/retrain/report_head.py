"""What every learner's report begins with: who was improved, from what, and how it went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from thumbwheel.config.settings import Learn
from thumbwheel.durable import write_whole
from thumbwheel.gates.evidence import Votes
from thumbwheel.records import PolicyKind
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.report.data import Curve, ReportData
from thumbwheel.retrain.run_folder import RunFolder

APPROX_KL = "Approximate KL to what was served"
_NOTES = {
    APPROX_KL: f"{APPROX_KL}: the mean of ratio − 1 − ln(ratio) over what was voted on (Schulman's estimator k3); "
    "the ratio is how likely the policy, with dropout on, finds it against how likely it was when it was served."
}


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
        config=learn_settings(plan.settings.learn, plan.kind),
        seeds={"run": plan.seed},
    )


def learn_settings(learn: Learn, kind: PolicyKind) -> dict[str, object]:
    """The settings of section `learn` that a run of this kind reads, by their names in the configuration.

    One that is for some kinds only begins its description with them.
    """
    values = learn.model_dump(mode="json")
    descriptions = {name: str(field.description) for name, field in type(learn).model_fields.items()}
    return {f"learn.{name}": values[name] for name, text in descriptions.items() if kind in _kinds(text)}


def _kinds(description: str) -> Sequence[PolicyKind]:
    """The kinds that a description begins with, as in "`classify`, `tag`: passes"; all where it begins otherwise."""
    named = description.partition(":")[0].split(", ")
    return [kind for kind in PolicyKind if f"`{kind}`" in named] or list(PolicyKind)


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
        Curve(title, {title: [figures[name] for figures in history]}, unit, x_label, note=_NOTES.get(title, ""))
        for name, (title, unit) in shown.items()
        if history and name in history[0]
    ]
