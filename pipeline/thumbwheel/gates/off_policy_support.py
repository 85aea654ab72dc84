"""Does the log reach as far as the candidate goes?

Asked of weights truncated at the square root of the number of votes: a label that was served against all odds would
else decide alone. The values of `off_policy_value` are estimated with weights cut off lower still.
"""

from __future__ import annotations

import math

import numpy as np

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import ClassifyEvidence, Floats, trouble
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.ope.weights import effective_sample_size, importance_weights, largest_weight
from thumbwheel.records import GateResult

LEAST_VOTES = 30
SUM_TOLERANCE = 1e-3


class EffectiveSamples:
    """Kish's effective sample size of the candidate's importance weights on held-out votes."""

    name = "effective_samples"
    title = "Enough comparable votes"
    rule = Rule.AT_LEAST
    unit = "votes"
    why = "Votes on labels the candidate would hardly give say little about it, however many there are."

    def check(self, evidence: ClassifyEvidence, limits: Gates) -> GateResult:
        """Count what the votes are worth for the candidate."""
        least = limits.min_effective_samples
        problem = unusable(evidence)
        if problem:
            return refuse(self.name, least, problem)
        size = effective_sample_size(truncated_weights(evidence, evidence.candidate_NK))
        sentence = (
            f"For the candidate, the {len(evidence.rewards_N):,} held-out votes are worth {size:,.0f}; "
            f"it takes {least:,}."
        )
        return GateResult(self.name, size >= least, size, least, math.nan, math.nan, sentence)


class LargestWeight:
    """Largest share of one vote in the sum of the candidate's importance weights."""

    name = "largest_weight"
    title = "No vote decides alone"
    rule = Rule.AT_MOST
    unit = "share of weight"
    why = "An estimate that hangs on one vote on a rarely served label is luck."

    def check(self, evidence: ClassifyEvidence, limits: Gates) -> GateResult:
        """Find the heaviest vote."""
        most = limits.max_weight_share
        problem = unusable(evidence)
        if problem:
            return refuse(self.name, most, problem)
        weights_N = truncated_weights(evidence, evidence.candidate_NK)
        share = largest_weight(weights_N) / float(weights_N.sum()) if weights_N.any() else 1.0
        sentence = f"The heaviest of the held-out votes has {share:.1%} of all weight; up to {most:.1%} is allowed."
        return GateResult(self.name, share <= most, share, most, math.nan, math.nan, sentence)


def truncated_weights(evidence: ClassifyEvidence, target_NK: Floats) -> Floats:
    """How much likelier `target_NK` makes each label that was served, at most sqrt(N), (N,).

    Ionides (2008), "Truncated importance sampling", section 2.
    """
    weights_N = importance_weights(target_NK, evidence.logged_NK, evidence.labels_N)
    return np.minimum(weights_N, math.sqrt(len(weights_N)))


def unusable(evidence: ClassifyEvidence) -> str:
    """Why the held-out votes say nothing of the candidate; empty when they do."""
    tables = (evidence.logged_NK, evidence.champion_NK, evidence.candidate_NK)
    sums = [table_NK.sum(axis=1) for table_NK in tables]
    problem = trouble(LEAST_VOTES, "held-out votes", evidence.rewards_N, *sums)
    if problem:
        return problem
    labels = evidence.logged_NK.shape[1]
    if evidence.labels_N.min() < 0 or evidence.labels_N.max() >= labels:
        return f"A served label lies outside of the {labels} labels there are."
    if any(table_NK.min() < 0.0 for table_NK in tables) or np.abs(np.array(sums) - 1.0).max() > SUM_TOLERANCE:
        return "The probabilities of some text's labels do not add up to 1."
    if evidence.logged_NK[np.arange(len(evidence.labels_N)), evidence.labels_N].min() <= 0.0:
        return "A label was served although its logged probability was 0, so the log is wrong."
    return ""
