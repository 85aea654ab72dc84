"""Does the candidate still say different things to different people?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.records import GateResult

LEAST_REPLIES = 30


class Diversity:
    """Variety of replies over the champion's: the effective number of different pairs of words.

    exp of the entropy of all pairs of neighbouring words in the replies to the same prompts (Hill number of order 1,
    Hill 1973): 1 where every reply is one pair, and as many as there are where all are equally frequent. What is said
    to everybody lowers it at once, as a rare exception does not raise it. PPO narrows what is said: the candidate that
    the demonstration promotes has 0.72 of its champion's 516 pairs; one reply to all but 5 of 100 would have 0.02.
    """

    name = "diversity"
    title = "Still says different things"
    rule = Rule.AT_LEAST
    unit = "x the champion's effective number of word pairs"
    why = "PPO can find one reply that pleases the reward model and give it to everybody."
    setting = "min_diversity_ratio"
    cure = "It says the same to everybody: lower learn.kl_target, or learn from more prompts."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare the varieties."""
        least = limits.min_diversity_ratio
        texts = evidence.champion_texts, evidence.candidate_texts
        if min(map(len, texts)) < LEAST_REPLIES:
            few = f"There are only {min(map(len, texts))} replies, and it takes {LEAST_REPLIES} to say anything."
            return refuse(self.name, least, few)
        old, new = map(effective_pairs, texts)
        sentence = (
            f"Its replies hold as many pairs of words as {new:,.0f} equally frequent ones, the champion's {old:,.0f}."
        )
        ratio = new / old
        return GateResult(self.name, ratio >= least, ratio, least, math.nan, math.nan, sentence)


def effective_pairs(replies: Sequence[str]) -> float:
    """exp(-sum p ln p) over pairs of neighbouring words, ends of replies counted as words; 1 for no or one pair."""
    counts = Counter(pair for reply in replies for pair in _pairs(reply))
    total = sum(counts.values())
    return math.exp(-sum(count / total * math.log(count / total) for count in counts.values())) if total else 1.0


def _pairs(reply: str) -> list[tuple[str, str]]:
    words = ["", *reply.casefold().split(), ""]
    return list(zip(words, words[1:], strict=False))
