"""`tag` in a run: votes on tags that were served by chance, one a word, and PPO on them.

As for `classify` there is no reward model to fit: the vote on served tags is the reward. Of each rater's votes on an
answer the most telling counts: an edit speaks of each word, a thumb or a rating of the text. Corrected texts are
imitated, too, also those that older versions answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from thumbwheel.errors import NotEnoughData
from thumbwheel.gates.entities import score_entities
from thumbwheel.gates.evidence import EditedTexts, Floats, TagEvidence, Votes
from thumbwheel.gates.off_policy_value import cut_weights
from thumbwheel.ope.estimators import snips
from thumbwheel.policy.tag import Tagger, load_tagger
from thumbwheel.ppo.tag.improve import TagPpoSettings, improve_tag
from thumbwheel.ppo.tag.votes import TagVote, corrected_texts, votes_of
from thumbwheel.pretrain.corpus import TaggedWords
from thumbwheel.records import Split
from thumbwheel.retrain.crew import run_work
from thumbwheel.retrain.learner import Job, Measured
from thumbwheel.retrain.logged_votes import drift, latency_of, told, votes_learned_from
from thumbwheel.retrain.probing import not_finite_weights
from thumbwheel.retrain.report.data import NAN, Comparison, ReportData, Sample
from thumbwheel.retrain.report.samples import pick_samples
from thumbwheel.retrain.report_head import APPROX_KL, curves, report_head, save_history
from thumbwheel.retrain.station import Station

SCORING_BATCH = 128

_SAMPLES_TEXT = (
    "Held-out texts in which the two versions find different tags likeliest; shown are the words that either tags as"
    " something. Scores are the shares of tags that agree with the user's correction, where there is one."
)
_EDITS_NOTE = (
    "Likeliest tags against the corrections of users who were not learned from. Who corrects is not random, and what"
    " was served is often left as it is, which favours the champion: beside the gates, this decides nothing."
)
_REWARD_NOTE = "Weighted votes of held-out users, each word by itself; 1 is a vote up, 0 a vote down."
_CURVES = {
    "policy_loss": ("Policy loss", ""),
    "past_loss": ("Cross-entropy of corrected texts", "nats a word"),
    "approx_kl": (APPROX_KL, "nats"),
    "entropy": ("Entropy", "nats a word"),
}


class TagLearner:
    """`Learner` for token classifiers."""

    def fit(self, job: Job) -> Mapping[str, Any]:
        """Nothing to fit: the vote is the reward."""
        return {}

    def improve(self, job: Job) -> Mapping[str, Any]:
        """PPO on the training users' votes."""
        champion = load_tagger(job.champion)
        votes = [vote for _, vote in _votes(job, Split.TRAIN, champion)]
        if not votes:
            raise NotEnoughData("there are no votes to learn from; collect some first")
        rows = (row for part in (Split.OLDER, Split.TRAIN) for row in job.snapshot.rows(part))
        corrected = corrected_texts(rows, champion.labels)
        work = partial(improve_work, votes=votes, corrected=corrected, settings=ppo_settings(job))
        done = dict(run_work(job, work, job.folder.candidate))
        save_history(job.folder, done.pop("history"))
        return done

    def measure(self, job: Job) -> Measured:
        """Both versions' probabilities on the held-out users' votes, and their likeliest tags against their edits."""
        champion, candidate = load_tagger(job.champion), load_tagger(job.folder.candidate)
        judging = list(_votes(job, Split.HELD_OUT, champion))
        raters, held_out = [rater for rater, vote in judging for _ in vote.tags], [vote for _, vote in judging]
        evidence = replace(_evidence(job, champion, candidate, held_out), raters_N=raters)
        samples = pick_samples(changed_answers(champion.labels, held_out, evidence), job.plan.seed)
        return Measured(evidence, _report(job, evidence, samples))


def improve_work(
    station: Station, votes: Sequence[TagVote], corrected: Sequence[TaggedWords], settings: TagPpoSettings
) -> Mapping[str, Any]:
    """What each worker does in `improve`."""
    done = improve_tag(
        station.champion, votes, station.out, station.checkpoint, settings, station.tell, station.workers, corrected
    )
    return asdict(done)


def ppo_settings(job: Job) -> TagPpoSettings:
    """How a run learns: the floor it is served with, passes and seed from the plan, the rest as it is by default."""
    settings = TagPpoSettings(
        probability_floor=_floor(job), correction_weight=job.plan.settings.learn.tag_correction_weight
    )
    training = replace(settings.training, epochs=job.plan.settings.learn.tag_epochs, seed=job.plan.seed)
    return replace(settings, training=training)


def _floor(job: Job) -> float:
    return job.plan.settings.tag.probability_floor


def _votes(job: Job, split: Split, champion: Tagger) -> Iterator[tuple[str, TagVote]]:
    """(rater, vote) for every usable vote of a part."""
    for row in job.snapshot.rows(split):
        yield from votes_of([row], champion.labels)


def _learned_from(job: Job, champion: Tagger) -> Votes:
    return votes_learned_from(job, _votes(job, Split.TRAIN, champion), job.plan.settings.data.min_votes_tag)


def _evidence(job: Job, champion: Tagger, candidate: Tagger, held_out: Sequence[TagVote]) -> TagEvidence:
    texts = [vote.tokens for vote in held_out]
    labels = len(champion.labels)
    tables = [_served(tagger, texts, _floor(job)) for tagger in (champion, candidate)]
    return TagEvidence(
        votes=_learned_from(job, champion),
        latency=latency_of(champion, candidate, texts),
        groups_N=np.repeat(np.arange(len(texts)), [len(words) for words in texts]).astype(np.int64),
        labels_N=np.array([tag for vote in held_out for tag in vote.tags], dtype=np.int64),
        rewards_N=np.array([(reward + 1) / 2 for vote in held_out for reward in vote.word_rewards], dtype=np.float64),
        logged_NK=np.array([row for vote in held_out for row in vote.probabilities], np.float64).reshape(-1, labels),
        champion_NK=tables[0],
        candidate_NK=tables[1],
        edited=_edited(champion.labels, held_out, *tables),
        weights_not_finite=not_finite_weights(job.folder.candidate),
    )


def _served(tagger: Tagger, texts: Sequence[Sequence[str]], floor: float) -> Floats:
    """probs_NK as they would be served, text after text, float64."""
    parts = [
        probs_WK
        for start in range(0, len(texts), SCORING_BATCH)
        for probs_WK in tagger.probabilities(texts[start : start + SCORING_BATCH], floor)
    ]
    rows_NK = torch.cat(parts) if parts else torch.zeros(0, len(tagger.labels))
    return rows_NK.double().numpy()


def _edited(
    labels: Sequence[str], held_out: Sequence[TagVote], champion_NK: Floats, candidate_NK: Floats
) -> EditedTexts:
    """The right tags of each corrected text, and what each version finds likeliest there."""
    corrected = [(at, vote) for at, vote in _places(held_out) if vote.corrected]
    found = [
        [[labels[index] for index in table_NK[at : at + len(vote.tokens)].argmax(1)] for at, vote in corrected]
        for table_NK in (champion_NK, candidate_NK)
    ]
    return EditedTexts([[labels[index] for index in vote.corrected] for _, vote in corrected], *found)


def _places(votes: Sequence[TagVote]) -> Iterator[tuple[int, TagVote]]:
    """Where each vote's words begin among those of all."""
    return zip(accumulate((len(vote.tokens) for vote in votes), initial=0), votes, strict=False)


def _report(job: Job, evidence: TagEvidence, samples: Sequence[Sample]) -> ReportData:
    head = report_head(job, evidence.votes)
    return replace(
        head,
        comparisons=comparisons(evidence),
        curves=curves(job.folder, _CURVES, "epoch"),
        samples=samples,
        samples_text=_SAMPLES_TEXT,
        config={**head.config, "tag.probability_floor": _floor(job)},
    )


def comparisons(evidence: TagEvidence) -> list[Comparison]:
    """The table of the report: average reward, certainty, drift, and entities against the corrections."""
    if not len(evidence.rewards_N):
        return []
    old_NK, new_NK = evidence.champion_NK, evidence.candidate_NK
    before, after = (snips(cut_weights(evidence, table_NK), evidence.rewards_N) for table_NK in (old_NK, new_NK))
    old_sure, new_sure = (float(table_NK.max(1).mean()) for table_NK in (old_NK, new_NK))
    return [
        Comparison("Average reward a word (SNIPS)", before, after, better="higher", note=_REWARD_NOTE),
        Comparison("Mean probability of its likeliest tag", old_sure, new_sure, "share"),
        Comparison("Drift, KL(candidate || champion)", 0.0, drift(new_NK, old_NK), "nats a word"),
        *_entity_rows(evidence.edited),
    ]


def _entity_rows(edited: EditedTexts) -> list[Comparison]:
    """Precision, recall and F1 of all entities, and F1 of each name."""
    if not edited.right:
        return []
    old, new = (score_entities(edited.right, given) for given in (edited.champion, edited.candidate))
    rows = [
        Comparison(f"{measure} of entities in {len(edited.right):,} corrected texts", before, after, "share", "higher")
        for measure, before, after in (
            ("Precision", old[""].precision, new[""].precision),
            ("Recall", old[""].recall, new[""].recall),
            ("F1", old[""].f1, new[""].f1),
        )
    ]
    rows[-1] = replace(rows[-1], note=_EDITS_NOTE)
    for name in sorted((old.keys() | new.keys()) - {""}):
        before, after = (found[name].f1 if name in found else 0.0 for found in (old, new))
        rows.append(Comparison(f"F1 of {name}", before, after, "share", "higher"))
    return rows


def changed_answers(labels: Sequence[str], held_out: Sequence[TagVote], evidence: TagEvidence) -> list[Sample]:
    """Held-out texts whose likeliest tags changed, scored by agreement with the correction where there is one."""
    samples = []
    for at, vote in _places(held_out):
        words = slice(at, at + len(vote.tokens))
        old, new = (table_NK[words].argmax(1) for table_NK in (evidence.champion_NK, evidence.candidate_NK))
        if (old == new).all():
            continue
        right = np.array(vote.corrected)
        scores = [float((tags == right).mean()) if vote.corrected else NAN for tags in (old, new)]
        shown = [_shown(vote.tokens, [labels[index] for index in tags]) for tags in (old, new)]
        samples.append(Sample(" ".join(vote.tokens), shown[0], shown[1], scores[0], scores[1], note=_note(vote)))
    return samples


def _shown(tokens: Sequence[str], tags: Sequence[str]) -> str:
    return ", ".join(f"{token} {tag}" for token, tag in zip(tokens, tags, strict=True) if tag != "O") or "nothing"


def _note(vote: TagVote) -> str:
    if vote.corrected:
        wrong = sum(reward < 0 for reward in vote.word_rewards)
        return f"corrected: {wrong} of {len(vote.tokens)} served tags were wrong"
    return f"voted: {told(vote.reward)}"
