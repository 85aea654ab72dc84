"""What every learner's report begins with: who was improved, from what, and how it went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from thumbwheel.config.settings import Learn
from thumbwheel.dataset.manifest import Counts
from thumbwheel.durable import write_whole
from thumbwheel.gates.evidence import Votes
from thumbwheel.records import PolicyKind, Split
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.report.data import Curve, ReportData
from thumbwheel.retrain.run_folder import RunFolder

APPROX_KL = "Approximate KL to what was served"
_NOTES = {
    APPROX_KL: f"{APPROX_KL}: the mean of ratio − 1 − ln(ratio) over what was voted on (Schulman's estimator k3); "
    "the ratio is how likely the policy, with dropout on, finds it against how likely it was when it was served."
}
# What a good course looks like, by the figure's name in the history.
_LOOK_FOR = {
    "policy_loss": "It falls, then flattens.",
    "past_loss": "It falls: the candidate explains better and better what users said.",
    "approx_kl": "It grows a little and stays small; a jump says that a step was too large.",
    "entropy": "It falls slowly; near 0 the policy hardly tries anything else any more.",
    "validation_value": "It rises while it learns for votes it has not seen; where it falls it learns by heart.",
    "objective/scores": "It rises: replies that users would like better.",
    "objective/kl": "It levels off; if it keeps growing, replies drift away from the champion's.",
    "val/reply_tokens": "About level; if it grows with the reward, length may be what is rewarded.",
    "objective/entropy": "It falls slowly; a plunge says that replies become all alike.",
    "loss/value": "It falls, then flattens.",
    "loss/liked": "Level or falling; if it rises, replies that users liked are forgotten.",
    "policy/clipfrac": "Below about 0.3; more says that steps are too large.",
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
        votes_text=votes_told(job.snapshot.manifest.counts),
        per_rater=votes.per_rater,
        lineage={"Champion": plan.parent, "Watermark": str(plan.watermark), "Snapshot": job.snapshot.digest},
        config=learn_settings(plan.settings.learn, plan.kind),
        seeds={"run": plan.seed},
    )


def votes_told(counts: Counts) -> str:
    """How many votes taught, how many judged, and how many wait."""
    told = f"{counts.teaching:,} votes taught, {counts.lessons[Split.HELD_OUT.value]:,} of held-out users judged"
    newest = counts.left_out["newest"]
    return f"{told}, the {newest:,} newest wait for the next run." if newest else f"{told}."


def learn_settings(learn: Learn, kind: PolicyKind) -> dict[str, object]:
    """The settings of section `learn` that a run of this kind reads, by their names in the configuration.

    One that is not for every kind begins its description with those that it is for.
    """
    values = learn.model_dump(mode="json")
    descriptions = {name: str(field.description) for name, field in type(learn).model_fields.items()}
    return {f"learn.{name}": values[name] for name, text in descriptions.items() if kind in _kinds_of(text)}


def _kinds_of(description: str) -> set[PolicyKind]:
    """The kinds a setting is for: those named before its colon, or else all."""
    named = description.partition(":")[0].split(", ")
    return {kind for kind in PolicyKind if f"`{kind}`" in named} or set(PolicyKind)


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
        Curve(
            title,
            {title: [figures[name] for figures in history]},
            unit,
            x_label,
            note=_NOTES.get(title, ""),
            look_for=_LOOK_FOR.get(name, ""),
        )
        for name, (title, unit) in shown.items()
        if history and name in history[0]
    ]
