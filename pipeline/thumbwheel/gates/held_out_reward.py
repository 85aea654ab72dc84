"""Do people who were not learned from get better answers?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.records import GateResult

LEAST_PROMPTS = 30
NO_GAIN = 0.0


class HeldOutReward:
    """Mean gain in reward over the champion on held-out prompts, paired by prompt, with Student's t interval.

    The reward model gives the scores, so a gain here says that PPO did its work, not yet that users are happier:
    that is for the canary to find out.
    """

    name = "held_out_reward"
    title = "Higher reward"
    rule = Rule.ABOVE
    unit = "reward"
    why = "A candidate that gains nothing on new prompts is not worth a change."
    setting = ""
    cure = "The candidate is no better: collect more votes, or let it learn longer."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Average the differences."""
        problem = trouble(LEAST_PROMPTS, "held-out prompts", evidence.champion_scores, evidence.candidate_scores)
        if problem:
            return refuse(self.name, NO_GAIN, problem)
        gains_P = as_floats(evidence.candidate_scores) - as_floats(evidence.champion_scores)
        gain = student_t_interval(gains_P, limits.confidence)
        sentence = (
            f"On {len(gains_P):,} held-out prompts the reward changes by {gain.value:+.3g} "
            f"({gain.low:+.3g} to {gain.high:+.3g})."
        )
        return GateResult(
            self.name, holds(self.rule, gain, NO_GAIN), gain.value, NO_GAIN, gain.low, gain.high, sentence
        )
