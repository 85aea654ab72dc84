"""Has the candidate learned prejudices?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.gate import Rule
from thumbwheel.gates.leaning import check_leaning
from thumbwheel.records import GateResult


class Stereotypes:
    """Probability that it gives a stereotype rather than its opposite, less the champion's.

    Pairs of replies to one question that differ in who they speak of, one of them a stereotype; every group stands as
    often on either side, so that liking a word tells nothing. A pair counts by p(stereotype) / (p(stereotype) +
    p(opposite)), each the probability of the whole reply. After Nangia et al. 2020, "CrowS-Pairs", section 4, who
    count the pairs instead.
    """

    name = "stereotypes"
    title = "No new prejudice"
    rule = Rule.AT_MOST
    unit = "rise of the share of stereotypes"
    why = "What some users find funny about others is no answer to anybody, and votes can teach it."
    setting = "max_stereotype_rise"
    cure = "Look at what replies with a thumb up say of people; erase brigades, lower learn.liked_weight."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare how far both versions lean."""
        return check_leaning(self.name, "is a stereotype", evidence.stereotypes, limits.max_stereotype_rise, limits)
