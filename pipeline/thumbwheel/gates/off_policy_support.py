"""Does the log reach as far as the candidate goes?

Asked of weights truncated at the square root of the number of votes: a label that was served against all odds would
else decide alone. The values of `off_policy_value` are estimated with weights cut off at the cube root of the number of
labels: lower still, unless texts that share a vote have more words than the root of the number of texts.

Where several labels share a vote, as the tags of a text do, the vote's weight is the mean of theirs: they are no
independent draws, and their product would be near 0 or huge for all but the shortest texts.

Shape suffixes: N labels that were served, K labels there are, V votes.
"""

from __future__ import annotations

import math

import numpy as np

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Floats, LabelEvidence, trouble
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.ope.weights import effective_sample_size, importance_weights, largest_weight
from thumbwheel.records import GateResult

LEAST_VOTES = 30
SUM_TOLERANCE = 1e-3


class EffectiveSamples:
    """Kish's effective sample size of the candidate's importance weights on held-out votes.

    Where a vote is on several tags, its weight is their mean.
    """

    name = "effective_samples"
    title = "Enough comparable votes"
    rule = Rule.AT_LEAST
    unit = "votes"
    why = "Votes on labels the candidate would hardly give say little about it, however many there are."
    setting = "min_effective_samples"
    cure = "Collect more votes on answers of the champion; the candidate is far from what was served."

    def check(self, evidence: LabelEvidence, limits: Gates) -> GateResult:
        """Count what the votes are worth for the candidate."""
        least = limits.min_effective_samples
        problem = unusable(evidence)
        if problem:
            return refuse(self.name, least, problem)
        weights_V = vote_weights(evidence, evidence.candidate_NK)
        size = effective_sample_size(weights_V)
        sentence = (
            f"For the candidate, the {len(weights_V):,} held-out votes are worth {size:,.0f}; it takes {least:,}."
        )
        return GateResult(self.name, size >= least, size, least, math.nan, math.nan, sentence)


class LargestWeight:
    """Largest share of one vote in the sum of the candidate's importance weights."""

    name = "largest_weight"
    title = "No vote decides alone"
    rule = Rule.AT_MOST
    unit = "share of weight"
    why = "An estimate that hangs on one vote on a rarely served label is luck."
    setting = "max_weight_share"
    cure = "Raise classify.probability_floor, or tag.probability_floor: rare labels then weigh less. Or collect votes."

    def check(self, evidence: LabelEvidence, limits: Gates) -> GateResult:
        """Find the heaviest vote."""
        most = limits.max_weight_share
        problem = unusable(evidence)
        if problem:
            return refuse(self.name, most, problem)
        weights_V = vote_weights(evidence, evidence.candidate_NK)
        share = largest_weight(weights_V) / float(weights_V.sum()) if weights_V.any() else 1.0
        sentence = f"The heaviest of the held-out votes has {share:.1%} of all weight; up to {most:.1%} is allowed."
        return GateResult(self.name, share <= most, share, most, math.nan, math.nan, sentence)


def truncated_weights(evidence: LabelEvidence, target_NK: Floats) -> Floats:
    """How much likelier `target_NK` makes each label that was served, at most sqrt(V), (N,).

    Ionides (2008), "Truncated importance sampling", section 2.
    """
    weights_N = importance_weights(target_NK, evidence.logged_NK, evidence.labels_N)
    return np.minimum(weights_N, math.sqrt(evidence.vote_count))


def vote_weights(evidence: LabelEvidence, target_NK: Floats) -> Floats:
    """Mean of the truncated weights of each vote's labels, (V,)."""
    weights_N = truncated_weights(evidence, target_NK)
    if evidence.groups_N is None:
        return weights_N
    return np.asarray(np.bincount(evidence.groups_N, weights=weights_N) / np.bincount(evidence.groups_N))


def unusable(evidence: LabelEvidence) -> str:
    """Why the held-out votes say nothing of the candidate; empty when they do."""
    tables = (evidence.logged_NK, evidence.champion_NK, evidence.candidate_NK)
    sums = [table_NK.sum(axis=1) for table_NK in tables]
    label, votes = evidence.label, evidence.vote_count
    if votes < LEAST_VOTES:
        return f"There are only {votes} held-out votes, and it takes {LEAST_VOTES} to say anything."
    noun = "held-out votes" if evidence.groups_N is None else f"{evidence.holder}s of held-out votes"
    problem = trouble(1, noun, evidence.rewards_N, *sums)
    if problem:
        return problem
    if evidence.groups_N is not None and evidence.groups_N.max() >= votes:
        return f"A held-out vote is on no {evidence.holder}, so the evidence is wrong."
    labels = evidence.logged_NK.shape[1]
    if evidence.labels_N.min() < 0 or evidence.labels_N.max() >= labels:
        return f"A served {label} lies outside of the {labels} {label}s there are."
    if any(table_NK.min() < 0.0 for table_NK in tables) or np.abs(np.array(sums) - 1.0).max() > SUM_TOLERANCE:
        return f"The probabilities of some {evidence.holder}'s {label}s do not add up to 1."
    if evidence.logged_NK[np.arange(len(evidence.labels_N)), evidence.labels_N].min() <= 0.0:
        return f"A {label} was served although its logged probability was 0, so the log is wrong."
    return ""
