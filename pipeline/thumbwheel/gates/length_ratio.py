"""Do replies keep about their length?"""

from __future__ import annotations

import numpy as np

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Floats, GenerateEvidence, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import Interval, bootstrap
from thumbwheel.records import GateResult

LEAST_PROMPTS = 30


class LengthRatio:
    """Mean length of replies over the champion's, or the other way round, whichever is larger; drawn anew in pairs."""

    name = "length_ratio"
    title = "Replies of about the same length"
    rule = Rule.AT_MOST
    unit = "x the champion's mean, or its inverse"
    why = "A reward model that likes length is paid in length; one that likes brevity ends in silence."
    setting = "max_length_ratio"
    cure = "Look whether raters reward length; a reward model that does can be seen in the report."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare the means."""
        columns = evidence.champion_lengths, evidence.candidate_lengths
        most = limits.max_length_ratio
        if problem := trouble(LEAST_PROMPTS, "held-out prompts", *columns):
            return refuse(self.name, most, problem)
        found = bootstrap(mean_ratio, *map(as_floats, columns), confidence=limits.confidence)
        apart = found if found.value >= 1.0 else Interval(1 / found.value, 1 / found.high, 1 / found.low)
        sentence = (
            f"Replies are {found.value:.2f} times as long as the champion's; up to {most:g}, or 1/{most:g}, is allowed."
        )
        passed = holds(self.rule, apart, most)
        return GateResult(self.name, passed, apart.value, most, apart.low, apart.high, sentence)


def mean_ratio(champion_P: Floats, candidate_P: Floats, axis: int = -1) -> Floats:
    """Mean of the candidate's lengths over the champion's, each 1 token longer: an empty reply has an end, too."""
    return np.asarray((candidate_P.mean(axis=axis) + 1.0) / (champion_P.mean(axis=axis) + 1.0))
