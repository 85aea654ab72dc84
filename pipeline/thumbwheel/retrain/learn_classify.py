"""`classify` in a run: votes on labels that were served by chance, and PPO on them.

PPO reads votes on answers of the champion and its nearest ancestors only (the plan's lineage): the further back, the
less is what was answered then like what would be answered now. What older votes say of labels stands, so they are
explained beside it. There is no reward model to fit: the vote on a served label is the reward.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.dataset.split import split_of
from thumbwheel.dataset.voices import voice_of
from thumbwheel.errors import NotEnoughData
from thumbwheel.gates.evidence import ClassifyEvidence, Floats, Votes
from thumbwheel.policy.classify import Classifier, load_classifier
from thumbwheel.ppo.classify.improve import ClassifyPpoSettings, improve_classify
from thumbwheel.ppo.classify.past_votes import PastVote, past_votes_of
from thumbwheel.ppo.classify.raters import WeighedVotes, newest_of_each, weigh_past_votes, weigh_votes
from thumbwheel.ppo.classify.trainer import VoteTrainingSettings
from thumbwheel.ppo.classify.votes import ClassifyVote, votes_of
from thumbwheel.ppo.stopping import LEAST_VOTES
from thumbwheel.records import Split
from thumbwheel.retrain.crew import run_work
from thumbwheel.retrain.learner import Job, Measured
from thumbwheel.retrain.logged_votes import drift, latency_of, told, votes_learned_from
from thumbwheel.retrain.probing import not_finite_weights
from thumbwheel.retrain.report.data import Comparison, ReportData, Sample
from thumbwheel.retrain.report.reward_facts import raters_told
from thumbwheel.retrain.report.samples import pick_samples
from thumbwheel.retrain.report_head import APPROX_KL, curves, report_head, save_history
from thumbwheel.retrain.station import Station
from thumbwheel.reward.propensity import fit_propensity, weighted

SCORING_BATCH = 256

_SAMPLES_TEXT = (
    "Held-out texts for which the two versions find different labels likeliest. p is the probability of the label that"
    " was voted on, in the champion and in the candidate: it should rise after a vote up, and fall after a vote down."
)
_AGREEMENT_NOTE = (
    "Tends to favour the champion, so it decides nothing: only labels that were served can count, and the champion, or"
    " a version it came from, drew them. Where its likeliest label was wrong, most votes are thumbs down, which this"
    " row leaves out. The “Earns more” gates weigh every vote, up and down, by how likely its label was to be served."
)
_CURVES = {
    "policy_loss": ("Policy loss", ""),
    "past_loss": ("Cross-entropy of votes of any age", "nats"),
    "approx_kl": (APPROX_KL, "nats"),
    "entropy": ("Entropy", "nats"),
    "validation_value": ("Earned on votes laid aside, SNIPS", "reward"),
}


class ClassifyLearner:
    """`Learner` for sequence classifiers."""

    def fit(self, job: Job) -> Mapping[str, Any]:
        """Nothing to fit: the vote is the reward."""
        return {}

    def improve(self, job: Job) -> Mapping[str, Any]:
        """PPO on the training users' votes."""
        votes, aside = lay_aside(job, weighed_votes(job))
        if not votes:
            raise NotEnoughData("there are no votes to learn from; collect some first")
        past = past_votes(job, with_aside=not aside)
        work = partial(improve_work, votes=votes, aside=aside, past=past, settings=ppo_settings(job))
        done = dict(run_work(job, work, job.folder.candidate))
        save_history(job.folder, done.pop("history"))
        return done

    def measure(self, job: Job) -> Measured:
        """Both versions' probabilities on the held-out users' votes."""
        champion, candidate = load_classifier(job.champion), load_classifier(job.folder.candidate)
        judging = newest_of_each(list(_votes(job, Split.HELD_OUT, champion)))
        raters, held_out = [rater for rater, _ in judging], [vote for _, vote in judging]
        evidence = replace(_evidence(job, champion, candidate, held_out), raters_N=raters)
        samples = pick_samples(changed_answers(champion.labels, held_out, evidence), job.plan.seed)
        return Measured(evidence, _report(job, evidence, samples))


def improve_work(
    station: Station,
    votes: Sequence[ClassifyVote],
    aside: Sequence[ClassifyVote],
    past: Sequence[PastVote],
    settings: ClassifyPpoSettings,
) -> Mapping[str, Any]:
    """What each worker does in `improve`."""
    done = improve_classify(
        station.champion, votes, station.out, station.checkpoint, settings, station.tell, station.workers, aside, past
    )
    return asdict(done)


def lay_aside(job: Job, voted: Sequence[tuple[str, ClassifyVote]]) -> tuple[list[ClassifyVote], list[ClassifyVote]]:
    """Training users' votes, as (voice, vote): those to learn from, and those of the users who choose the epoch.

    Nobody who judges is among them: a choice made by the judges would be judged too well. Where the votes laid aside
    are too few to choose by, all are learned from.
    """
    parts: dict[Split, list[ClassifyVote]] = {Split.TRAIN: [], Split.HELD_OUT: []}
    for voice, vote in voted:
        parts[_part_of(job, voice)].append(vote)
    votes, aside = parts[Split.TRAIN], parts[Split.HELD_OUT]
    return (votes, aside) if len(aside) >= LEAST_VOTES else (votes + aside, [])


def past_votes(job: Job, with_aside: bool) -> list[PastVote]:
    """What is to be explained beside PPO: votes of any age, where some say more than PPO hears.

    That is where some are on older versions, or name the right label. Else there are none, and nothing is paid.
    """
    if not job.plan.settings.learn.classify_past_weight:
        return []
    training = (vote for row in job.snapshot.rows(Split.TRAIN) for vote in row.lessons)
    says_more = any(True for _ in job.snapshot.rows(Split.OLDER)) or any(vote.edit for vote in training)
    return votes_of_any_age(job, with_aside) if says_more else []


def votes_of_any_age(job: Job, with_aside: bool) -> list[PastVote]:
    """The training users' votes; with those of the users who choose the epoch only where nobody does."""
    labels = load_classifier(job.champion).labels
    rows = (row for part in (Split.OLDER, Split.TRAIN) for row in job.snapshot.rows(part))
    said = past_votes_of(rows, labels)
    voices = [voice_of(rater, job.plan.settings.data.anonymous_as_one) for rater, _ in said]
    weighed = weigh_past_votes(voices, [vote for _, vote in said], _weighed(job, voiced_votes(job)).trust)
    told = zip(voices, weighed, strict=True)
    return [vote for voice, vote in told if with_aside or _part_of(job, voice) is Split.TRAIN]


def _part_of(job: Job, voice: str) -> Split:
    """Whether a training user's votes teach in this run, or choose its epoch: with each champion it is others' turn."""
    plan = job.plan
    return split_of(f"{plan.policy} {plan.parent} epochs", voice, plan.settings.learn.classify_validation)


def training_votes(job: Job) -> list[ClassifyVote]:
    """What a run learns from: the training users' votes."""
    return [vote for _, vote in weighed_votes(job)]


def weighed_votes(job: Job) -> list[tuple[str, ClassifyVote]]:
    """(voice, vote) of the training users, each vote weighed by whose it is (`learn.rater_trust`) and by who rates."""
    voted = voiced_votes(job)
    return list(zip([voice for voice, _ in voted], _weighed(job, voted).votes, strict=True))


def _weighed(job: Job, voted: Sequence[tuple[str, ClassifyVote]]) -> WeighedVotes:
    trusts = job.plan.settings.learn.rater_trust
    return weigh_votes([voice for voice, _ in voted], [vote for _, vote in voted], trusts)


def voiced_votes(job: Job) -> list[tuple[str, ClassifyVote]]:
    """(voice, vote) of the training users, before anything is known of who they are."""
    as_one = job.plan.settings.data.anonymous_as_one
    voted = _votes_of(_by_who_rates(job), load_classifier(job.champion))
    return [(voice_of(rater, as_one), vote) for rater, vote in voted]


def ppo_settings(job: Job) -> ClassifyPpoSettings:
    """How a run learns: what the plan's settings say, the rest as it is by default."""
    learn = job.plan.settings.learn
    training = VoteTrainingSettings(
        epochs=learn.classify_epochs, learning_rate=learn.classify_learning_rate, seed=job.plan.seed
    )
    return ClassifyPpoSettings(
        probability_floor=_floor(job),
        training=training,
        past_weight=learn.classify_past_weight,
        wrong_votes=learn.classify_wrong_votes,
    )


def _floor(job: Job) -> float:
    return job.plan.settings.classify.probability_floor


def _votes(job: Job, split: Split, champion: Classifier) -> Iterator[tuple[str, ClassifyVote]]:
    """(rater, vote) for every usable vote of a part."""
    yield from _votes_of(job.snapshot.rows(split), champion)


def _votes_of(rows: Iterable[SnapshotRow], champion: Classifier) -> Iterator[tuple[str, ClassifyVote]]:
    for row in rows:
        yield from votes_of([row], champion.labels)


def _by_who_rates(job: Job) -> Iterator[SnapshotRow]:
    """The training users' rows, weighed by how likely such an answer is rated; what judges is not weighed so."""
    looked_at = job.snapshot.manifest.counts.looked_at
    model = fit_propensity(job.snapshot.rows(Split.TRAIN), job.snapshot.rows(Split.UNRATED), looked_at)
    return (weighted(row, model) for row in job.snapshot.rows(Split.TRAIN))


def _learned_from(job: Job, champion: Classifier) -> Votes:
    return votes_learned_from(job, _votes(job, Split.TRAIN, champion), job.plan.settings.data.min_votes_classify)


def _evidence(
    job: Job, champion: Classifier, candidate: Classifier, held_out: Sequence[ClassifyVote]
) -> ClassifyEvidence:
    texts = [vote.text for vote in held_out]
    logged_NK = np.array([vote.probabilities for vote in held_out], dtype=np.float64)
    return ClassifyEvidence(
        votes=_learned_from(job, champion),
        latency=latency_of(champion, candidate, texts),
        labels_N=np.array([vote.label for vote in held_out], dtype=np.int64),
        rewards_N=np.array([(vote.reward + 1) / 2 for vote in held_out]),
        logged_NK=logged_NK.reshape(-1, len(champion.labels)),
        champion_NK=_served(champion, texts, _floor(job)),
        candidate_NK=_served(candidate, texts, _floor(job)),
        weights_not_finite=not_finite_weights(job.folder.candidate),
    )


def _report(job: Job, evidence: ClassifyEvidence, samples: Sequence[Sample]) -> ReportData:
    head = report_head(job, evidence.votes)
    return replace(
        head,
        comparisons=comparisons(evidence),
        curves=curves(job.folder, _CURVES, "epoch"),
        samples=samples,
        samples_text=_SAMPLES_TEXT,
        config={
            **head.config,
            "classify.probability_floor": _floor(job),
            "epoch kept": _epoch_kept(job),
            "raters": raters_told(_weighed(job, voiced_votes(job)).trust.figures()) or "all weigh alike",
        },
    )


def _epoch_kept(job: Job) -> str:
    """Which epoch's weights are the candidate's, and why, in words."""
    if not job.folder.history.exists():
        return "not known: it was not learned here"
    history = json.loads(job.folder.history.read_text(encoding="utf-8"))
    kept = max((epoch for epoch, row in enumerate(history, start=1) if row.get("kept")), default=0)
    if not kept:
        return f"{len(history)}, the last; no votes were laid aside to choose by"
    earned, peak = history[kept - 1]["validation_value"], max(row["validation_value"] for row in history)
    return (
        f"{kept} of {len(history)}: the latest that votes laid aside don't find worse than the best; it earns "
        f"{earned:.3f} an answer there, the best {peak:.3f}"
    )


def _served(classifier: Classifier, texts: list[str], floor: float) -> Floats:
    """probs_NK as they would be served, float64."""
    parts = [
        classifier.probabilities(texts[start : start + SCORING_BATCH], floor)
        for start in range(0, len(texts), SCORING_BATCH)
    ]
    rows = torch.cat(parts) if parts else torch.zeros(0, len(classifier.labels))
    return rows.double().numpy()


def comparisons(evidence: ClassifyEvidence) -> list[Comparison]:
    """The table of the report. Nothing in it is judged better or worse.

    Drift is neither as such: a candidate that learned has some. Agreement counts votes up on labels that the champion
    or an ancestor drew: a text whose right label was rarely drawn hardly counts, so it tends to favour the champion.
    """
    up_N = evidence.rewards_N > 0.5
    if not len(up_N):
        return []

    def agreement(probs_NK: Floats) -> float:
        """Share of held-out votes up whose label the version finds likeliest."""
        agrees_N = probs_NK.argmax(1) == evidence.labels_N
        return float(agrees_N[up_N].mean()) if up_N.any() else float("nan")

    def certainty(probs_NK: Floats) -> float:
        return float(probs_NK.max(1).mean())

    old_NK, new_NK = evidence.champion_NK, evidence.candidate_NK
    agrees = Comparison(
        "Likeliest label is the one that got a thumb up",
        agreement(old_NK),
        agreement(new_NK),
        "share",
        note=_AGREEMENT_NOTE,
    )
    return [
        Comparison("Mean probability of its likeliest label", certainty(old_NK), certainty(new_NK), "share"),
        Comparison("Drift, KL(candidate || champion)", 0.0, drift(new_NK, old_NK), "nats an answer"),
        agrees,
    ]


def changed_answers(
    labels: Sequence[str], held_out: Sequence[ClassifyVote], evidence: ClassifyEvidence
) -> list[Sample]:
    """Held-out texts whose likeliest label changed, scored by how the probability of the voted label moved."""
    samples = []
    for vote, old_K, new_K in zip(held_out, evidence.champion_NK, evidence.candidate_NK, strict=True):
        old, new = labels[old_K.argmax()], labels[new_K.argmax()]
        if old != new:
            before, after = old_K[vote.label], new_K[vote.label]
            note = f"voted: {told(vote.reward)} on {labels[vote.label]}, p {before:.2f} → {after:.2f}"
            samples.append(Sample(vote.text, old, new, vote.reward * before, vote.reward * after, note=note))
    return samples
