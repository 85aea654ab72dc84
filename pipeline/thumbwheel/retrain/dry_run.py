"""All gates on any version against the champion, with the votes that are there now. Nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from thumbwheel.config.settings import Settings
from thumbwheel.dataset.freeze import freeze
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.gates.judge import judge
from thumbwheel.records import PolicyKind, RunStep, Verdict
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.judge_folder import judge_folder
from thumbwheel.retrain.learner import Job, Learner
from thumbwheel.retrain.plan import make_plan
from thumbwheel.store.port import FeedbackStore


@dataclass(frozen=True, slots=True)
class DryRun:
    """What the gates say of a version."""

    policy: str
    version: str
    champion: str
    votes: int
    verdict: Verdict


def judge_version(
    store: FeedbackStore,
    registry: Registry,
    settings: Settings,
    learners: Callable[[PolicyKind], Learner],
    policy: str,
    version: str,
    told: Callable[[str, float], None] = lambda step, share: None,
) -> DryRun:
    """Judge a version as a run that had made it now would: the same split, the same draw, the same gates.

    A reward model, where the kind has one, is fitted for it. Meanwhile users' texts lie beside the runs.
    `told` hears the step it is in, and the share of that step that is done, in [0, 1].

    Raises:
        UnknownPolicy, UnknownVersion, DamagedArtifact: the version can not be had.
        Conflict: the policy has no champion.
        NotEnoughData: there are too few votes.
        InvalidConfig: the file of the gates' thresholds can not be used.
    """
    candidate = registry.fetch(policy, version)
    plan = make_plan(store, registry, settings, policy)
    with judge_folder(settings.runs_dir) as folder:
        told(RunStep.FREEZE, 0.0)
        usable = freeze(store, plan.votes, folder.snapshot).manifest.counts.usable
        folder.candidate.symlink_to(candidate, target_is_directory=True)
        champion = registry.fetch(policy, plan.parent)
        step = RunStep.FIT
        told(step, 0.0)

        def tell(done: int, total: int, figures: Mapping[str, float]) -> None:
            told(step, done / max(1, total))

        job = Job(plan, folder, Snapshot(folder.snapshot), champion, tell)
        learner = learners(plan.kind)
        learner.fit(job)
        step = RunStep.JUDGE
        told(step, 0.0)
        verdict = judge(plan.kind, learner.measure(job).evidence, plan.settings.gates)
        told(step, 1.0)
    return DryRun(policy, version, plan.parent, usable, verdict)
