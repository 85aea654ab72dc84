"""How much each vote on a label counts: by who gave it, and by how much its rater has said already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thumbwheel.dataset.voice_limit import limit_voices, most_votes, one_voice
from thumbwheel.ppo.classify.past_votes import PastVote
from thumbwheel.ppo.classify.votes import ClassifyVote
from thumbwheel.ppo.served_trust import served_trust
from thumbwheel.reward.trust import RaterTrust


@dataclass(frozen=True, slots=True)
class WeighedVotes:
    """Votes with their weights, 1 on average, in the order in which they came; `trust` is what their raters were."""

    votes: Sequence[ClassifyVote]
    trust: RaterTrust


def weigh_votes(raters_N: Sequence[str], votes: Sequence[ClassifyVote], trust: bool = True) -> WeighedVotes:
    """Weigh votes by voice: to say it again says no more, no few have much of the say, and who goes along counts more.

    The limits come first, so that the busy don't decide who goes along, and last, label by label, so that what
    `dataset/voice_limit.py` says of them holds of the weights that are learned with.
    """
    if not votes:
        return WeighedVotes((), RaterTrust())
    given_N = np.array([vote.weight for vote in votes])
    said_N = one_voice(raters_N, [(vote.text, vote.label) for vote in votes])
    weights_N = limit_voices(given_N * said_N, raters_N)
    found = RaterTrust()
    if trust:
        estimates_N = np.array([vote.probabilities[vote.label] for vote in votes])
        rewards_N = np.array([(vote.reward + 1) / 2 for vote in votes])
        found = served_trust(raters_N, estimates_N, rewards_N, said_N, weights_N)
        weights_N = weights_N * np.array([found.weights.get(rater, 1.0) for rater in raters_N])
    weights_N = limit_voices(weights_N, raters_N, [vote.label for vote in votes])
    weights_N *= len(votes) / max(weights_N.sum(), np.finfo(float).tiny)
    weighed = [replace(vote, weight=weight) for vote, weight in zip(votes, weights_N.tolist(), strict=True)]
    return WeighedVotes(weighed, found)


def weigh_past_votes(raters_N: Sequence[str], votes: Sequence[PastVote], trust: RaterTrust) -> list[PastVote]:
    """The same of votes of any age, whose raters are trusted as in the votes of the run; of others nothing is known."""
    if not votes:
        return []
    said, labels = [(vote.text, vote.label) for vote in votes], [vote.label for vote in votes]
    given_N = np.array(
        [vote.weight * trust.weights.get(rater, 1.0) for rater, vote in zip(raters_N, votes, strict=True)]
    )
    weights_N = limit_voices(given_N * one_voice(raters_N, said), raters_N, labels)
    weights_N *= len(votes) / max(weights_N.sum(), np.finfo(float).tiny)
    return [replace(vote, weight=weight) for vote, weight in zip(votes, weights_N.tolist(), strict=True)]


def newest_of_each(voted: Sequence[tuple[str, ClassifyVote]]) -> list[tuple[str, ClassifyVote]]:
    """Leave out the oldest votes of the busiest raters, who judge otherwise with more than their say, in their order.

    What judges is not weighed: each vote there counts as one draw of the log.
    """
    left = Counter(rater for rater, _ in voted)
    most = most_votes([rater for rater, _ in voted])
    kept = []
    for rater, vote in voted:
        if left[rater] <= most:
            kept.append((rater, vote))
        left[rater] -= 1
    return kept
