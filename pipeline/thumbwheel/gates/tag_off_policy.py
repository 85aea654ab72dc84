"""What would a tagger have earned on tags that another version gave? Weights are of words, not of texts.

The weight of a whole text's tags is the product over its words, near 0 or huge for all but the shortest: useless. So
each word is weighed by itself, by its marginal weight w_t = candidate(tag_t) / logged(tag_t), and earns what the vote
says of it. Where the reward of a text is the mean of its words' (an edit), that is exact. Where it is one for all of
them (a thumb), the estimate is what changes when each word alone is left to the candidate and the others stay as they
were served: the first order of the change, summed over the words.

Words of one text share a vote, so they are no independent draws: terms are summed by text, intervals are over texts.

Shape suffixes: P words, N texts, K labels.
"""

from __future__ import annotations

import math

import numpy as np

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import ClassifyEvidence, Floats, TagEvidence, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.gates.off_policy_support import LEAST_VOTES, SUM_TOLERANCE
from thumbwheel.gates.off_policy_value import NO_GAIN, cut_weights, doubly_robust
from thumbwheel.ope.estimators import snips_terms
from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.ope.weights import effective_sample_size, importance_weights, largest_weight
from thumbwheel.records import GateResult


class TagEffectiveSamples:
    """Kish's effective sample size of the candidate's weights on held-out votes, a text's being its words' mean."""

    name = "tag_effective_samples"
    title = "Enough comparable votes"
    rule = Rule.AT_LEAST
    unit = "votes"
    why = "Votes on tags the candidate would hardly give say little about it, however many there are."

    def check(self, evidence: TagEvidence, limits: Gates) -> GateResult:
        """Count what the votes are worth for the candidate."""
        least = limits.min_effective_samples
        if problem := unusable(evidence):
            return refuse(self.name, least, problem)
        weights_N = text_weights(evidence, evidence.candidate_PK)
        size = effective_sample_size(weights_N)
        sentence = (
            f"For the candidate, the {len(weights_N):,} held-out votes are worth {size:,.0f}; it takes {least:,}."
        )
        return GateResult(self.name, size >= least, size, least, math.nan, math.nan, sentence)


class TagLargestWeight:
    """Largest share of one text in the sum of the candidate's weights."""

    name = "tag_largest_weight"
    title = "No vote decides alone"
    rule = Rule.AT_MOST
    unit = "share of weight"
    why = "An estimate that hangs on one vote on rarely served tags is luck."

    def check(self, evidence: TagEvidence, limits: Gates) -> GateResult:
        """Find the heaviest vote."""
        most = limits.max_weight_share
        if problem := unusable(evidence):
            return refuse(self.name, most, problem)
        weights_N = text_weights(evidence, evidence.candidate_PK)
        share = largest_weight(weights_N) / float(weights_N.sum()) if weights_N.any() else 1.0
        sentence = f"The heaviest of the held-out votes has {share:.1%} of all weight; up to {most:.1%} is allowed."
        return GateResult(self.name, share <= most, share, most, math.nan, math.nan, sentence)


class TagSnipsValue:
    """Gain over the champion a word, by self-normalised importance sampling on held-out votes, paired by text.

    As `SnipsValue` of `classify` it flatters where the candidate's tags were hardly ever served, and counts only beside
    the doubly robust gate.
    """

    name = "tag_snips"
    title = "Earns more (SNIPS)"
    rule = Rule.ABOVE
    unit = "reward a word"
    why = "Accuracy on what was served flatters; this asks what the candidate's own tags would have earned."

    def check(self, evidence: TagEvidence, limits: Gates) -> GateResult:
        """Estimate both versions and compare."""
        if problem := unusable(evidence):
            return refuse(self.name, NO_GAIN, problem)
        words = as_labels(evidence)
        candidate_P, champion_P = (
            snips_terms(cut_weights(words, table_PK), words.rewards_N)
            for table_PK in (words.candidate_NK, words.champion_NK)
        )
        return _compare(self.name, "By weighted votes", evidence, (candidate_P, champion_P), limits)


class TagDoublyRobustValue:
    """Gain over the champion a word, by the doubly robust estimator, on held-out votes; folds are of whole raters."""

    name = "tag_doubly_robust"
    title = "Earns more (doubly robust)"
    rule = Rule.ABOVE
    unit = "reward a word"
    why = "A second estimate that errs in another way: a gain that only one of them sees is doubtful."

    def check(self, evidence: TagEvidence, limits: Gates) -> GateResult:
        """Estimate both versions and compare."""
        if problem := unusable(evidence):
            return refuse(self.name, NO_GAIN, problem)
        candidate_P, champion_P, moved_P = doubly_robust(as_labels(evidence))
        how = "By predicted rewards, corrected by votes"
        return _compare(self.name, how, evidence, (candidate_P + moved_P, champion_P), limits)


def as_labels(evidence: TagEvidence) -> ClassifyEvidence:
    """The words as what `classify` has, a label each; the rater of each is that of its text's vote.

    Where raters are not known each text has one of its own, so that its words are never split between folds.
    """
    raters_N = evidence.raters_N or [str(text) for text in range(_texts(evidence))]
    return ClassifyEvidence(
        votes=evidence.votes,
        latency=evidence.latency,
        labels_N=evidence.labels_P,
        rewards_N=evidence.rewards_P,
        logged_NK=evidence.logged_PK,
        champion_NK=evidence.champion_PK,
        candidate_NK=evidence.candidate_PK,
        raters_N=[raters_N[text] for text in evidence.texts_P],
    )


def word_weights(evidence: TagEvidence, target_PK: Floats) -> Floats:
    """How much likelier `target_PK` makes each tag that was served, at most the root of the number of texts, (P,).

    Ionides (2008), "Truncated importance sampling", section 2. What the gates of support look at.
    """
    weights_P = importance_weights(target_PK, evidence.logged_PK, evidence.labels_P)
    return np.minimum(weights_P, math.sqrt(_texts(evidence)))


def text_weights(evidence: TagEvidence, target_PK: Floats) -> Floats:
    """Mean weight of each text's words, (N,)."""
    sums_N = np.bincount(evidence.texts_P, weights=word_weights(evidence, target_PK))
    return np.asarray(sums_N / np.bincount(evidence.texts_P))


def per_text(terms_P: Floats, texts_P: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """Terms of words summed by text, (N,), scaled so that their mean is that of the words' terms."""
    sums_N = np.bincount(texts_P, weights=terms_P)
    return np.asarray(sums_N * len(sums_N) / len(terms_P))


def unusable(evidence: TagEvidence) -> str:
    """Why the held-out votes say nothing of the candidate; empty when they do."""
    texts = np.unique(evidence.texts_P)
    tables = (evidence.logged_PK, evidence.champion_PK, evidence.candidate_PK)
    sums = [table_PK.sum(axis=1) for table_PK in tables]
    if len(texts) < LEAST_VOTES:
        return f"There are only {len(texts)} held-out votes, and it takes {LEAST_VOTES} to say anything."
    if problem := trouble(1, "words of held-out votes", evidence.rewards_P, *sums):
        return problem
    if len(texts) != _texts(evidence):
        return "Some text has no word, so the evidence is wrong."
    if evidence.labels_P.min() < 0 or evidence.labels_P.max() >= evidence.logged_PK.shape[1]:
        return f"A served tag lies outside of the {evidence.logged_PK.shape[1]} there are."
    if any(table_PK.min() < 0.0 for table_PK in tables) or np.abs(np.array(sums) - 1.0).max() > SUM_TOLERANCE:
        return "The probabilities of some word's tags do not add up to 1."
    if evidence.logged_PK[np.arange(len(evidence.labels_P)), evidence.labels_P].min() <= 0.0:
        return "A tag was served although its logged probability was 0, so the log is wrong."
    return ""


def _texts(evidence: TagEvidence) -> int:
    return int(evidence.texts_P.max()) + 1


def _compare(name: str, how: str, evidence: TagEvidence, terms: tuple[Floats, Floats], limits: Gates) -> GateResult:
    candidate_N, champion_N = (per_text(terms_P, evidence.texts_P) for terms_P in terms)
    gain = student_t_interval(candidate_N - champion_N, limits.confidence)
    sentence = (
        f"{how}, each word weighed by itself, the candidate earns {candidate_N.mean():.4f} a word where the champion "
        f"earns {champion_N.mean():.4f}, a change of {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})."
    )
    return GateResult(name, holds(Rule.ABOVE, gain, NO_GAIN), gain.value, NO_GAIN, gain.low, gain.high, sentence)
