"""When the reward model says 80%, do 80% vote up?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, as_floats
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.gates.reward_auc import unusable
from thumbwheel.ope.intervals import bootstrap
from thumbwheel.records import GateResult
from thumbwheel.reward.calibration import expected_calibration_error


class RewardCalibration:
    """Expected calibration error of the reward model on held-out votes, with a bootstrap interval.

    The interval leans upwards, since resampling adds noise to every bin; the threshold holds the value itself.
    """

    name = "reward_calibration"
    title = "Reward model is honest"
    rule = Rule.AT_MOST
    unit = "ECE"
    why = "An over-confident reward model makes PPO chase differences that users do not see."
    setting = "max_reward_ece"
    cure = "Collect more votes of held-out users; see the report's calibration curve."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Compare predicted with observed shares of thumbs up."""
        votes = evidence.reward_model
        problem = unusable(votes)
        probabilities_N = as_floats(votes.probabilities)
        if not problem and (probabilities_N.min() < 0.0 or probabilities_N.max() > 1.0):
            problem = "The reward model's probabilities leave the range from 0 to 1."
        if problem:
            return refuse(self.name, limits.max_reward_ece, problem)
        columns = as_floats(votes.thumbs_up), probabilities_N
        error = bootstrap(expected_calibration_error, *columns, confidence=limits.confidence)
        sentence = (
            f"The reward model's predicted share of thumbs up is off by {error.value:.1%} on average "
            f"over {len(probabilities_N):,} held-out votes."
        )
        passed = holds(self.rule, error, limits.max_reward_ece)
        return GateResult(self.name, passed, error.value, limits.max_reward_ece, error.low, error.high, sentence)
