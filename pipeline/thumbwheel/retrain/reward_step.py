"""The reward model in a run of `generate`: what it is fitted to, how it is measured, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.gates.evidence import HeldOutVotes, Votes
from thumbwheel.policy.loading import CausalPolicy, load_causal
from thumbwheel.records import GenerateAnswer, Split
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.report.data import RewardModelFit
from thumbwheel.retrain.report.reward_facts import reward_facts
from thumbwheel.retrain.station import Station
from thumbwheel.reward.baselines import baseline_aucs
from thumbwheel.reward.calibration import roc_auc
from thumbwheel.reward.correction import Corrections
from thumbwheel.reward.fit import RewardSettings, fit, measure
from thumbwheel.reward.model import RewardModel, load_reward
from thumbwheel.reward.probes import sycophancy
from thumbwheel.reward.propensity import fit_propensity, propensity_figures, weighted
from thumbwheel.reward.rated_reply import UNDECIDED, Lesson, decided, ranked_replies, rated_replies

_PARTS = Split.TRAIN, Split.HELD_OUT


def reward_settings(job: Job) -> RewardSettings:
    """How the reward model is fitted: what the plan's settings name, the rest as it is by default."""
    learn = job.plan.settings.learn
    return RewardSettings(members=learn.reward_members, caution=learn.reward_caution, trust=learn.rater_trust)


def lessons_of(job: Job) -> tuple[list[Lesson], Mapping[str, Any]]:
    """The training users' votes, weighed by how likely such an answer is rated; and what there is to tell of it."""
    as_one = job.plan.settings.data.anonymous_as_one
    corrections = Corrections(load_causal(job.champion))
    looked_at = job.snapshot.manifest.counts.looked_at
    model = fit_propensity(job.snapshot.rows(Split.TRAIN), job.snapshot.rows(Split.UNRATED), looked_at)
    rows = [weighted(row, model) for row in job.snapshot.rows(Split.TRAIN)]
    rated, ranked = rated_replies(rows, as_one), ranked_replies(rows, corrections, as_one)
    kinds = Counter("ratings" if row.rating else "thumbs" for row in rated)
    kinds.update("edits" if row.edited else "rankings" for row in ranked)
    told = {"kinds": dict(kinds), "too_long": corrections.too_long, "propensity": propensity_figures(model, rows)}
    return [*rated, *ranked], told


def fit_work(
    station: Station,
    rows: Sequence[Lesson],
    seed: int,
    settings: RewardSettings | None = None,
    reference: str = "",
    told: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """What each worker does in `fit`. `told` is kept beside what fitting finds."""
    model = fit(load_causal(station.champion).model, rows, seed, settings, station.workers, reference)
    model.told = {**model.told, **(told or {})}
    if station.workers.rank == 0:
        model.save(station.out)
    return {}


def reward_of(job: Job) -> RewardModel:
    """The reward model on a backbone of its own: never on an object that learns or is measured."""
    return load_reward(job.folder.fit, load_causal(job.champion).model)


def learned_from(job: Job, champion: CausalPolicy) -> Votes:
    """What the training users' votes taught by its side; a ranking or an edit says of one reply yes, of another no."""
    data, rows = job.plan.settings.data, list(job.snapshot.rows(Split.TRAIN))
    rated = rated_replies(rows, data.anonymous_as_one)
    ranked = ranked_replies(rows, Corrections(champion), data.anonymous_as_one)
    lessons: list[Lesson] = [*rated, *ranked]
    raters = Counter(lesson.rater for lesson in lessons)
    ups, downs = sum(row.target > UNDECIDED for row in rated), sum(row.target < UNDECIDED for row in rated)
    orders = len(ranked)
    return Votes(ups + orders, downs + orders, raters, data.min_votes_generate, _not_finite(rows))


def _not_finite(rows: Iterable[SnapshotRow]) -> int:
    """How many logged log-probabilities of the rows are NaN or infinite."""
    answers = [row.response.answer for row in rows]
    return sum(not isfinite(p) for answer in answers if isinstance(answer, GenerateAnswer) for p in answer.logprobs)


def held_out_votes(job: Job, reward: RewardModel) -> HeldOutVotes:
    """The reward model's probabilities on held-out thumbs and ratings; three stars of five take no side."""
    rated = decided(rated_replies(job.snapshot.rows(Split.HELD_OUT)))
    if not rated:
        return HeldOutVotes([], [])
    probabilities = reward.probabilities([row.prompt_ids for row in rated], [row.reply_ids for row in rated])
    return HeldOutVotes([float(row.target > 0.5) for row in rated], probabilities)


def reward_fit(job: Job, votes: HeldOutVotes) -> RewardModelFit:
    """The reward model as the report shows it, beside simpler ones."""
    thumbs_up, probabilities = list(map(float, votes.thumbs_up)), list(map(float, votes.probabilities))
    auc = roc_auc(probabilities, [up > 0.5 for up in thumbs_up]) if thumbs_up else float("nan")
    baselines = baseline_aucs(*(decided(rated_replies(job.snapshot.rows(split))) for split in _PARTS))
    return RewardModelFit(thumbs_up, probabilities, auc, baselines, _reward_facts(job))


def _reward_facts(job: Job) -> Mapping[str, str]:
    """What the report says of the reward model in words."""
    reward, policy = reward_of(job), load_causal(job.champion)
    held_out = rated_replies(job.snapshot.rows(Split.HELD_OUT))
    return reward_facts(reward.told, measure(reward, held_out), sycophancy(reward, policy))
