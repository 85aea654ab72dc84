"""Do a few people decide for everybody?"""

from __future__ import annotations

import math

from thumbwheel.config.settings import Gates
from thumbwheel.dataset.voices import UNNAMED
from thumbwheel.gates.evidence import Evidence
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.records import GateResult

SHOWN = 3

_CURE = "Votes without a user id count as one rater: let clients send user.id, or see data.anonymous_as_one."


class RaterConcentration:
    """The largest share of the training votes that comes from one rater."""

    name = "rater_concentration"
    title = "No rater dominates"
    rule = Rule.AT_MOST
    unit = "share of votes"
    why = "One busy rater, or one attacker, must not steer what everybody gets."
    setting = "max_rater_share"
    cure = "Ask more users, let clients send user.id, or lower data.max_votes_per_rater."

    def check(self, evidence: Evidence, limits: Gates) -> GateResult:
        """Find the busiest raters."""
        counts = evidence.votes.per_rater
        total = sum(counts.values())
        if total <= 0:
            return refuse(self.name, limits.max_rater_share, "Nobody voted, so nobody knows who decides.")
        busiest = sorted(counts, key=lambda rater: (-counts[rater], rater))[:SHOWN]
        shares = ", ".join(f"{rater[:8]} {counts[rater] / total:.1%}" for rater in busiest)
        share = counts[busiest[0]] / total
        sentence = f"{len(counts):,} raters gave {total:,} votes, the busiest (by pseudonym) being {shares}."
        if busiest[0] == UNNAMED and share > limits.max_rater_share:
            sentence += f" {_CURE}"
        return GateResult(
            self.name, share <= limits.max_rater_share, share, limits.max_rater_share, math.nan, math.nan, sentence
        )
