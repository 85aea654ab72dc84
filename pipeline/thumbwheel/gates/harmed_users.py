"""Do some users pay for what the others gain?

Averages hide it: a candidate that is better for half of the users and as much worse for the others is, on average,
as good. Nobody knows beforehand which users belong together. So each user's answers are dealt into two halves; the one
says who seems to lose, the other, which had no say in that, how much those users lose, and the other way round. Where
no user loses, those who seemed to are picked by chance and gain as much as everybody.

Shape suffixes: N answers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Floats, GenerateEvidence, LabelEvidence, as_floats, trouble
from thumbwheel.gates.gate import Rule, refuse
from thumbwheel.gates.off_policy_support import unusable
from thumbwheel.gates.off_policy_value import doubly_robust, per_vote
from thumbwheel.ope.intervals import Interval, student_t_interval
from thumbwheel.records import GateResult

LEAST_ANSWERS = 30
# Of a user with fewer answers a half says nothing of the other.
LEAST_OF_A_USER = 4
# Of fewer, the few who seem to lose are too few for an interval to be believed.
LEAST_USERS = 20


class HarmedUsers:
    """What users who seem to lose by the candidate do lose, in standard deviations of the champion's reward.

    Each held-out user's prompts are dealt into halves: who loses in one is looked at in the other. The interval is
    Student's t over users. It fails where the mean loss is larger than allowed and the interval has no 0 in it, so that
    chance does not explain it. Users with fewer than 4 prompts are left out; of fewer than 20 others it says nothing.
    """

    name = "harmed_users"
    title = "No users pay for others"
    rule = Rule.AT_MOST
    unit = "standard deviations of the reward lost by users who lose"
    why = "A candidate can be better for one half of the users and worse for the other; averages don't show it."
    setting = "max_user_harm"
    cure = "Look at the samples for what these users ask about, and collect more of their votes; or a policy for each."

    def check(self, evidence: GenerateEvidence, limits: Gates) -> GateResult:
        """Look for users who lose, by the reward model's scores."""
        if problem := trouble(LEAST_ANSWERS, "held-out prompts", evidence.champion_scores, evidence.candidate_scores):
            return refuse(self.name, limits.max_user_harm, problem)
        champion_N, candidate_N = as_floats(evidence.champion_scores), as_floats(evidence.candidate_scores)
        return _check(self.name, evidence.prompt_users, candidate_N - champion_N, float(champion_N.std()), limits)


class HarmedRaters:
    """What raters who seem to lose by the candidate do lose, in standard deviations of what votes say.

    Each held-out rater's votes, with what the doubly robust estimate makes of them, are dealt into halves: who loses in
    one is looked at in the other. The interval is Student's t over raters. It fails where the mean loss is larger than
    allowed and the interval has no 0 in it, so that chance does not explain it. Raters with fewer than 4 votes are left
    out; with fewer than 20 others it finds nothing.
    """

    name = "harmed_raters"
    title = HarmedUsers.title
    rule = HarmedUsers.rule
    unit = "standard deviations of the reward lost by raters who lose"
    why = HarmedUsers.why
    setting = HarmedUsers.setting
    cure = HarmedUsers.cure

    def check(self, evidence: LabelEvidence, limits: Gates) -> GateResult:
        """Look for raters who lose, by weighted votes."""
        if problem := unusable(evidence):
            return refuse(self.name, limits.max_user_harm, problem)
        gains_V = per_vote(_gains(evidence), evidence.groups_N)
        spread = float(per_vote(evidence.rewards_N, evidence.groups_N).std())
        return _check(self.name, _raters_of_votes(evidence), gains_V, spread, limits)


def losses_of_losers(users: Sequence[str], gains_N: Floats) -> list[float]:
    """Mean loss in one half of each user's answers of users who lose on average in the other half.

    A user whose both halves lose is in it twice. Answers are dealt in turns, in the order given.
    """
    known = _known(_by_user(users, gains_N))
    return [loss for gains in known for loss in _losses(gains)] if len(known) >= LEAST_USERS else []


def _by_user(users: Sequence[str], gains_N: Floats) -> list[list[float]]:
    """The gains of each user's answers; those of nobody known are left out."""
    answers: defaultdict[str, list[float]] = defaultdict(list)
    for user, gain in zip(users, gains_N, strict=True):
        if user:
            answers[user].append(float(gain))
    return list(answers.values())


def _known(answers: Sequence[list[float]]) -> list[list[float]]:
    """Those of users with enough answers."""
    return [gains for gains in answers if len(gains) >= LEAST_OF_A_USER]


def _losses(gains: Sequence[float]) -> Iterator[float]:
    halves = gains[::2], gains[1::2]
    for seen, other in (halves, halves[::-1]):
        if math.fsum(seen) < 0.0:
            yield -math.fsum(other) / len(other)


def _check(name: str, users: Sequence[str], gains_N: Floats, spread: float, limits: Gates) -> GateResult:
    most = limits.max_user_harm
    losses = losses_of_losers(users, gains_N) if len(users) == len(gains_N) and spread > 0.0 else []
    if len(losses) < 2:
        sentence = _nobody_loses(users, gains_N, spread)
        return GateResult(name, True, 0.0, most, math.nan, math.nan, sentence)
    lost = student_t_interval(np.array(losses) / spread, limits.confidence)
    passed = not (lost.value > most and lost.low > 0.0)
    return GateResult(name, passed, lost.value, most, lost.low, lost.high, _told(lost, most))


def _nobody_loses(users: Sequence[str], gains_N: Floats, spread: float) -> str:
    """Whether nobody loses by it, or nobody could be looked at."""
    if len(users) != len(gains_N):
        return "Not looked at: it is not known whose the held-out answers are."
    answers = _by_user(users, gains_N)
    known = len(_known(answers))
    if known < LEAST_USERS:
        return (
            f"Not looked at: of {len(answers):,} held-out users {known:,} have {LEAST_OF_A_USER} answers or more, and "
            f"it takes {LEAST_USERS} such users."
        )
    if spread <= 0.0:
        return "Not looked at: every held-out answer earns the champion the same."
    return f"Of {known:,} held-out users with {LEAST_OF_A_USER} answers or more none is found who loses by it."


def _told(lost: Interval, most: float) -> str:
    return (
        f"Users who seem to lose by it in one half of their answers lose {lost.value:.2f} standard deviations of the "
        f"reward in the other ({lost.low:.2f} to {lost.high:.2f}); up to {most:g} is allowed, or what chance explains."
    )


def _gains(evidence: LabelEvidence) -> Floats:
    """What each label adds to the candidate's value less the champion's, (N,).

    Predictions are of other raters' votes, so that the halves of one rater's have none in common. SNIPS would not do:
    where labels were never served it looks at the other votes only, and losers are those who get such labels.
    """
    candidate_N, champion_N, _ = doubly_robust(evidence)
    return candidate_N - champion_N


def _raters_of_votes(evidence: LabelEvidence) -> Sequence[str]:
    """Who gave each vote, (V,)."""
    if evidence.groups_N is None or not evidence.raters_N:
        return evidence.raters_N
    of_vote = dict(zip(evidence.groups_N.tolist(), evidence.raters_N, strict=True))
    return [of_vote[vote] for vote in range(evidence.vote_count)]
