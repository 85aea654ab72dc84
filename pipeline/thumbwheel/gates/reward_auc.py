"""Can the reward model tell a good answer from a bad one?"""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import GenerateEvidence, HeldOutVotes, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import delong
from thumbwheel.records import GateResult

LEAST_OF_EACH_SIGN = 20
COIN = 0.5


class RewardAuc:
    """Area under the ROC curve of the reward model on held-out votes, with DeLong's interval.

    The value must reach the threshold, and the lower bound must lie above 0.5, a coin's.
    """

    name = "reward_auc"
    title = "Reward model sees quality"
    rule = Rule.AT_LEAST
    unit = "AUC"
    why = "PPO climbs whatever the reward model likes; one that can not tell good from bad leads anywhere."
    setting = "min_reward_auc"
    cure = "Collect more votes, and look whether raters agree: what they don't agree on can't be learned."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Rank the held-out votes."""
        votes = evidence.reward_model
        problem = unusable(votes)
        if problem:
            return refuse(self.name, limits.min_reward_auc, problem)
        auc = delong(as_floats(votes.thumbs_up) == 1.0, as_floats(votes.probabilities), limits.confidence)
        passed = holds(self.rule, auc, limits.min_reward_auc) and auc.low > COIN
        coin = "" if auc.low > COIN else ", which a coin could reach"
        sentence = (
            f"Of a held-out answer voted up and one voted down, the reward model ranks the right one first "
            f"in {auc.value:.1%} of cases ({auc.low:.1%} to {auc.high:.1%}){coin}."
        )
        return GateResult(self.name, passed, auc.value, limits.min_reward_auc, auc.low, auc.high, sentence)


def unusable(votes: HeldOutVotes) -> str:
    """Why the held-out votes say nothing of the reward model; empty when they do."""
    problem = trouble(2 * LEAST_OF_EACH_SIGN, "held-out votes", votes.thumbs_up, votes.probabilities)
    if problem:
        return problem
    up = int((as_floats(votes.thumbs_up) == 1.0).sum())
    down = int((as_floats(votes.thumbs_up) == 0.0).sum())
    if up + down < len(votes.thumbs_up):
        return f"{len(votes.thumbs_up) - up - down} held-out votes are neither up (1) nor down (0)."
    if min(up, down) < LEAST_OF_EACH_SIGN:
        return f"Of the held-out votes {up} are up and {down} down, and it takes {LEAST_OF_EACH_SIGN} of each."
    return ""
