"""A candidate among simulated users, by the decisions of the real canary.

Users come one after the other, are drawn by the trial's own split, and vote by how their answer pleases them. After
every few the canary decides as it would in the service; guardrails are given the replies of both versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from thumbwheel.canary.decide import HOUR_US, Finding, decide
from thumbwheel.canary.guardrails import Replies, is_empty, rails
from thumbwheel.config.settings import Canary
from thumbwheel.registry.trial import PPM, Served, Split, Trial, TrialKind, TrialState, Voices
from thumbwheel.simulate.users import SimulatedUser

USERS = 5_000
_LOOK_EVERY = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """What users get of a version: the true quality of answers in [0, 1], and the replies, if it replies."""

    qualities: Sequence[float]
    replies: Replies = Replies()


def replies_of(texts: Sequence[str], tokens: Sequence[int]) -> Replies:
    """Replies as guardrails look at them."""
    empty = sum(map(is_empty, texts))
    return Replies(empty, len(texts) - empty, list(tokens))


def try_among_users(control: Answers, tried: Answers, limits: Canary, rng: Random, users: int = USERS) -> Finding:
    """Let users come, evenly over the trial's hours, until the canary decides; at the end of them time decides."""
    split = Split(1, f"drill {rng.random()}", round(limits.share * PPM))
    voices = {True: [0, 0], False: [0, 0]}
    found_rails = rails(Served(), Served(), control.replies, tried.replies, limits)
    rater = SimulatedUser()
    hour_us = limits.max_hours * HOUR_US / users
    for number in range(1, users + 1):
        drawn = split.is_drawn(f"user-{number} {split.salt}")
        thumb = rater.thumb(rng.choice((tried if drawn else control).qualities), rng)
        voices[drawn][0 if thumb else 1] += 1
        if number % _LOOK_EVERY and number < users:
            continue
        finding = decide(_trial(split, voices), found_rails, round(number * hour_us), limits)
        if finding.state is not None:
            return finding
    return finding


def _trial(split: Split, voices: dict[bool, list[int]]) -> Trial:
    return Trial(
        trial_id=split.trial_id,
        policy="drill",
        kind=TrialKind.CANARY,
        state=TrialState.RUNNING,
        version="candidate",
        control="champion",
        split=split,
        started_us=0,
        ended_us=0,
        start_seq=0,
        cursor=0,
        revision=0,
        voices=Voices(*voices[True]),
        control_voices=Voices(*voices[False]),
    )
