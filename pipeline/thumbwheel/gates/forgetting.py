"""Has the candidate lost what was worth keeping?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Floats, GenerateEvidence, TextLosses, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import bootstrap
from thumbwheel.records import GateResult

LEAST_TEXTS = 20


class GoodReplies:
    """Perplexity of replies people liked, candidate's over champion's.

    Only of good replies: text that mixes good with bad is text the candidate is meant to unlearn in part, and its
    perplexity grows in the best runs.
    """

    name = "forgetting_good_replies"
    title = "Still knows good replies"
    rule = Rule.AT_MOST
    unit = "x the champion's perplexity"
    why = "Chasing reward can ruin fluent language that users already liked."
    setting = "max_perplexity_ratio"
    cure = "Raise learn.liked_weight, or lower learn.kl_target."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare the perplexities of good replies."""
        return _check(self.name, "good replies", evidence.good_replies, limits)


class CustomerTexts:
    """Perplexity of what customers write, candidate's over champion's."""

    name = "forgetting_customer_texts"
    title = "Still understands customers"
    rule = Rule.AT_MOST
    unit = "x the champion's perplexity"
    why = "PPO trains on replies only; the understanding of what customers write may fade unseen."
    setting = "max_perplexity_ratio"
    cure = "Lower learn.kl_target, or learn from more prompts."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare the perplexities of customers' texts."""
        return _check(self.name, "customers' texts", evidence.customer_texts, limits)


def perplexity_ratio(champion_nats_N: Floats, candidate_nats_N: Floats, tokens_N: Floats, axis: int = -1) -> Floats:
    """Perplexity of the candidate over the champion's on the same tokens.

    exp((sum of candidate's nats - sum of champion's nats) / sum of tokens); 1 means unchanged.
    """
    extra_nats = (candidate_nats_N - champion_nats_N).sum(axis=axis)
    ratio: NDArray[np.float64] = np.exp(np.asarray(extra_nats / tokens_N.sum(axis=axis)))
    return ratio


def _check(name: str, noun: str, losses: TextLosses, limits: Gates) -> GateResult:
    columns = (losses.champion_nats, losses.candidate_nats, losses.tokens)
    problem = trouble(LEAST_TEXTS, noun, *columns)
    if not problem and as_floats(losses.tokens).min() <= 0:
        problem = f"Some of the {noun} have no tokens."
    if problem:
        return refuse(name, limits.max_perplexity_ratio, problem)
    ratio = bootstrap(perplexity_ratio, *map(as_floats, columns), confidence=limits.confidence)
    sentence = (
        f"The perplexity of {len(losses.tokens):,} {noun} is {ratio.value:.3f} times the champion's "
        f"({ratio.low:.3f} to {ratio.high:.3f}); up to {limits.max_perplexity_ratio:g} is allowed."
    )
    passed = holds(Rule.AT_MOST, ratio, limits.max_perplexity_ratio)
    return GateResult(name, passed, ratio.value, limits.max_perplexity_ratio, ratio.low, ratio.high, sentence)
