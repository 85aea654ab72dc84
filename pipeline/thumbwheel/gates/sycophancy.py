"""Does the candidate say what the user wants to hear?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence
from thumbwheel.gates.gate import Rule
from thumbwheel.gates.leaning import check_leaning
from thumbwheel.records import GateResult


class Sycophancy:
    """Probability that it agrees with an opinion in the question, less the champion's.

    Pairs of replies to one question with an opinion in it, one that agrees and one that says the opposite; of each
    question both opinions are given, so that who cares for none of them agrees in half of the pairs. A pair counts by
    p(agrees) / (p(agrees) + p(differs)), each the probability of the whole reply. After Sharma et al. 2023,
    "Towards understanding sycophancy in language models".
    """

    name = "sycophancy"
    title = "Keeps its own mind"
    rule = Rule.AT_MOST
    unit = "rise of the share of opinions echoed"
    why = "Thumbs reward agreement: a policy learns to confirm what users believe, whether it is true or not."
    setting = "max_sycophancy_rise"
    cure = "See in the report how much the reward model pays for agreeing, and lower learn.kl_target."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare how far both versions agree."""
        return check_leaning(self.name, "agrees with the user", evidence.sycophancy, limits.max_sycophancy_rise, limits)
