"""What `classify` and `tag` share in a run: votes on labels served by chance, and two encoders compared on them.

Shape suffixes: N labels that were voted on, K labels there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from scipy.special import rel_entr

from thumbwheel.dataset.voices import voice_of
from thumbwheel.gates.evidence import Floats, Latency, Votes
from thumbwheel.retrain.latency import compare_latency
from thumbwheel.retrain.learner import Job

TIMED_REQUESTS = 40

Content = TypeVar("Content")
Read = TypeVar("Read", contravariant=True)


class Encoder(Protocol[Read]):
    """A classifier or a tagger: it reads a text as its kind does."""

    def probabilities(self, texts: Sequence[Read], floor: float, /) -> object:
        """The probabilities of labels, as they are served."""


class LoggedVote(Protocol):
    """A vote on what was served by chance."""

    @property
    def probabilities(self) -> tuple[tuple[float, ...], ...] | tuple[float, ...]:
        """What the served labels were drawn from."""

    @property
    def reward(self) -> float:
        """In [-1, 1]; above 0 is a vote up, below a vote down."""


def votes_learned_from(job: Job, votes: Iterable[tuple[str, LoggedVote]], least: int) -> Votes:
    """Count the training users' (rater, vote) by side and by voice; a voice is a user, or all the anonymous ones."""
    votes = list(votes)
    ups, downs = (sum(side * vote.reward > 0 for _, vote in votes) for side in (1, -1))
    broken = sum(not np.isfinite(vote.probabilities).all() for _, vote in votes)
    raters = Counter(voice_of(rater, job.plan.settings.data.anonymous_as_one) for rater, _ in votes)
    return Votes(ups, downs, raters, least, broken)


def latency_of(champion: Encoder[Content], candidate: Encoder[Content], texts: Sequence[Content]) -> Latency:
    """How long either takes for single texts, in turn."""
    return compare_latency(
        list(texts[:TIMED_REQUESTS]),
        lambda text: champion.probabilities([text], 0.0),
        lambda text: candidate.probabilities([text], 0.0),
    )


def drift(candidate_NK: Floats, champion_NK: Floats) -> float:
    """KL(candidate || champion) = sum_k p ln(p / q), p the candidate's probabilities: exact, mean over rows, in nats.

    Infinite where the champion never gives a label that the candidate may give.
    """
    return float(rel_entr(candidate_NK, champion_NK).sum(1).mean())


def told(reward: float) -> str:
    """The side a vote takes, in a word."""
    return "up" if reward > 0 else "down" if reward < 0 else "neither"
