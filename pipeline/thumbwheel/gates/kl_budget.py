"""How far has the candidate walked from what is known?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.records import GateResult

LEAST_REPLIES = 30


class KlBudget:
    """Mean KL divergence from the champion, nats a reply, on replies sampled from the candidate.

    KL(candidate || champion) = E over candidate's replies of log(candidate / champion), estimated by its sample
    mean, with Student's t interval. A mean clearly below 0 is impossible for a KL divergence: then the replies
    were not sampled from the candidate, or scored at another temperature, and the gate fails.
    """

    name = "kl_budget"
    title = "Stays near the champion"
    rule = Rule.AT_MOST
    unit = "nats a reply"
    why = "The reward model was fitted on replies that were served; far from them its scores mean nothing."
    setting = "max_kl"
    cure = "Lower learn.kl_target or learn.ppo_iterations."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Average the log-ratios."""
        problem = trouble(LEAST_REPLIES, "scored replies", evidence.kl_per_reply)
        if problem:
            return refuse(self.name, limits.max_kl, problem)
        kl = student_t_interval(as_floats(evidence.kl_per_reply), limits.confidence)
        if kl.high < 0.0:
            return refuse(
                self.name, limits.max_kl, f"The divergence came out as {kl.value:.2f}, which no divergence can be."
            )
        sentence = (
            f"The candidate's replies diverge from the champion's by {kl.value:.2f} nats each "
            f"({kl.low:.2f} to {kl.high:.2f}); up to {limits.max_kl:g} is allowed."
        )
        passed = holds(self.rule, kl, limits.max_kl)
        return GateResult(self.name, passed, kl.value, limits.max_kl, kl.low, kl.high, sentence)
