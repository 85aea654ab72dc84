"""Answers of a version with thumbs on them, in the store as ingest would have put them there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from recorded_batch import recorded_batch

from thumbwheel.database import slices
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.port import FeedbackStore

_CONSUMER = "voted"


def vote_on(
    store: FeedbackStore, policy: str, version: str, users: Sequence[str], up: Callable[[int], bool], at_us: int = 0
) -> None:
    """Put one answer to each user (a pseudonym) into the store, and the user's thumb on it: up where `up(number)`."""
    time_us = at_us or time.time_ns() // 1_000
    offset = store.offset(_CONSUMER, "t", 0)
    answers, votes = [], []
    for number, user in enumerate(users):
        name = f"{slices.first_id(time_us // 1_000)}-7000-8000-{offset:06x}{number:06x}"
        answer = ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",))
        ref = VersionRef(policy, version, "d")
        answers.append(LoggedResponse(name, "q", ref, Channel.CHAMPION, "", user, "", time_us, "", answer))
        kind = FeedbackKind.THUMB
        votes.append(Feedback(f"f-{name}", name, user, "", policy, version, kind, time_us, thumb_up=up(number)))
    store.apply(recorded_batch(_CONSUMER, "t", 0, offset, offset + 1, answers, votes))
