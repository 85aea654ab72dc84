"""How far a group of raters moved the reward of a label, and how far it could have at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thumbwheel.dataset.voice_limit import bound_on_say
from thumbwheel.ppo.classify.votes import ClassifyVote


@dataclass(frozen=True, slots=True)
class Say:
    """The weighted mean vote on a label, in [0, 1], with and without a group's votes; and the limit of the difference.

    `share` is the group's share of the weight. NaN rewards where nobody, or nobody else, voted on the label.
    """

    reward: float
    without: float
    share: float
    bound: float

    @property
    def moved(self) -> float:
        """How far the group moved the reward."""
        return abs(self.reward - self.without)

    @property
    def holds(self) -> bool:
        """Whether it did so by no more than the bound."""
        return not self.moved > self.bound


def say_on(label: int, votes: Sequence[tuple[str, ClassifyVote]], group: frozenset[str]) -> Say:
    """What `group` did to the reward of `label` in weighed votes, as (voice, vote); see `dataset/voice_limit.py`."""
    raters, on_it = {rater for rater, _ in votes}, [(rater, vote) for rater, vote in votes if vote.label == label]
    weights_N = np.array([vote.weight for _, vote in on_it])
    rewards_N = np.array([(vote.reward + 1) / 2 for _, vote in on_it])
    inside_N = np.array([rater in group for rater, _ in on_it], dtype=bool)
    total = float(weights_N.sum())
    bound = bound_on_say(len(group & raters), len({rater for rater, _ in on_it}), len(raters))
    return Say(
        _mean(rewards_N, weights_N),
        _mean(rewards_N[~inside_N], weights_N[~inside_N]),
        float(weights_N[inside_N].sum()) / total if total > 0 else 0.0,
        bound,
    )


def _mean(rewards_N: np.ndarray, weights_N: np.ndarray) -> float:
    total = float(weights_N.sum())
    return float(rewards_N @ weights_N) / total if total > 0 else float("nan")
