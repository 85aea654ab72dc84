"""How far each rater's votes go along with what others say of the same and of like replies.

The estimate of a reply comes from members of the reward model that have learned nothing of its rater, and from the
votes of other raters on the same reply: in both, all that the rater said is left out, so nobody vouches for himself by
voting often. Always voting up agrees with nothing but the mean, so
votes and estimates are taken from there on: who votes up always, or by chance, has a slope of 0, who votes the opposite
a negative one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from thumbwheel.reward.rated_reply import Lesson, RatedReply

# The prior: a rater is like the average one, as surely as this many average votes would have shown it.
PRIOR_VOTES: Final = 20.0
LEAST: Final = 0.1
MOST: Final = 1.5

_EVEN: Final = 0.5


@dataclass(frozen=True, slots=True)
class RaterTrust:
    """A weight for each rater, 1 for an average one, in [`LEAST`, `MOST`]; who is not there has 1."""

    weights: Mapping[str, float] = field(default_factory=dict)

    def of(self, lesson: Lesson) -> float:
        """The weight of a lesson's rater."""
        return self.weights.get(lesson.rater, 1.0)

    def figures(self) -> dict[str, float]:
        """What may be told of it: nobody's name."""
        weights = sorted(self.weights.values())
        if not weights:
            return {"raters": 0.0}
        low = sum(weight < _EVEN for weight in weights)
        return {
            "raters": float(len(weights)),
            "least": weights[0],
            "median": median(weights),
            "most": weights[-1],
            "below_half": float(low),
        }


def rater_trust(
    lessons: Sequence[Lesson],
    estimates: Sequence[NDArray[np.float64]],
    weights_N: NDArray[np.float64] | None = None,
) -> RaterTrust:
    """Weigh raters by the slope of their votes on estimates, shrunk to the slope of all votes.

    `weights_N`: how much each lesson counts, so that the busy don't decide who goes along; None: all alike.

    `estimates` has for each lesson the logits of its replies, by members that know nothing of the rater. With
    y = vote - mean vote and x = estimate - mean vote, a rater's slope is (sum x y + m b) / (sum x^2 + m): the posterior
    mean of a linear regression whose slope is a priori b, that of all votes, with the weight m of `PRIOR_VOTES` votes
    of average x^2. The trust is that slope over b, clipped.
    """
    votes = _votes(lessons, estimates)
    x_N, y_N = (np.array([vote[column] for vote in votes], dtype=np.float64) for column in (1, 2))
    w_N = np.ones(len(votes)) if weights_N is None else weights_N
    slope = float(w_N * x_N @ y_N) / float(w_N * x_N @ x_N) if len(votes) and (w_N * x_N).any() else 0.0
    if slope <= 0:
        return RaterTrust()  # estimates that foretell no vote tell nothing of raters
    prior = PRIOR_VOTES * float(w_N * x_N @ x_N) / float(w_N.sum())
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [prior * slope, prior])
    for (rater, x, y), w in zip(votes, w_N.tolist(), strict=True):
        sums[rater][0] += w * x * y
        sums[rater][1] += w * x * x
    weights = {rater: above / below / slope for rater, (above, below) in sums.items() if rater}
    return RaterTrust({rater: min(max(weight, LEAST), MOST) for rater, weight in weights.items()})


def _votes(lessons: Sequence[Lesson], estimates: Sequence[NDArray[np.float64]]) -> list[tuple[str, float, float]]:
    """(rater, x, y) of each lesson; a ranking is the vote that its first reply is better than its last."""
    given: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for lesson in lessons:
        if isinstance(lesson, RatedReply):
            given[lesson.prompt_ids, lesson.reply_ids].append(lesson.target)
            given[lesson.prompt_ids, lesson.reply_ids, lesson.rater].append(lesson.target)
    sums = {key: (sum(targets), len(targets)) for key, targets in given.items()}
    targets = [lesson.target for lesson in lessons if isinstance(lesson, RatedReply)]
    mean, votes = sum(targets) / max(len(targets), 1), []
    for lesson, logits in zip(lessons, estimates, strict=True):
        if isinstance(lesson, RatedReply):
            total, count = sums[lesson.prompt_ids, lesson.reply_ids]
            own, times = sums[lesson.prompt_ids, lesson.reply_ids, lesson.rater]
            estimate = (float(expit(logits[0])) + total - own) / (1 + count - times)
            votes.append((lesson.rater, estimate - mean, lesson.target - mean))
        else:
            votes.append((lesson.rater, float(expit(logits[0] - logits[-1])) - _EVEN, 1 - _EVEN))
    return votes
