"""Is there anything to learn from?"""

from __future__ import annotations

import math

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Evidence
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.records import GateResult

LEAST_OF_EACH_SIGN = 10


class DataSanity:
    """Enough votes, both up and down, and every number a number.

    The value is the count of votes. It also takes 10 votes of each sign: from praise alone, or blame alone,
    nothing can be told apart.
    """

    name = "data_sanity"
    title = "Votes are usable"
    rule = Rule.AT_LEAST
    unit = "votes"
    why = "Votes that are few, all alike or broken teach a model nothing, or something wrong."
    setting = ""
    cure = "Collect more votes of both signs; broken log-probabilities point at a defect of what was served."

    def check(self, evidence: Evidence, limits: Gates) -> GateResult:
        """Count the votes."""
        votes = evidence.votes
        total = votes.positive + votes.negative
        if votes.not_finite:
            return refuse(self.name, votes.least, f"{votes.not_finite} rewards or probabilities are NaN or infinite.")
        if min(votes.positive, votes.negative) < LEAST_OF_EACH_SIGN:
            sentence = (
                f"Of {total:,} votes {votes.positive:,} are up and {votes.negative:,} down, "
                f"and it takes {LEAST_OF_EACH_SIGN} of each."
            )
            return GateResult(self.name, False, total, votes.least, math.nan, math.nan, sentence)
        sentence = f"{total:,} votes, {votes.positive / total:.0%} of them up; it takes {votes.least:,}."
        return GateResult(self.name, total >= votes.least, total, votes.least, math.nan, math.nan, sentence)
