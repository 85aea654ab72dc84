"""Simulated users' answers and thumbs, put into a store as ingest would have made them of the log."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from thumbwheel.database import slices
from thumbwheel.events.convert import encode
from thumbwheel.events.outline import AnswerOutline, FeedbackOutline, outline
from thumbwheel.records import Answer, Channel, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.simulate.users import SimulatedUser
from thumbwheel.store.port import Arrival, Batch, FeedbackStore

_TOPIC = "drill"
_STEP_US = 1_000_000


class Served(NamedTuple):
    """An answer to a user, and its true quality in [0, 1]."""

    user: str
    answer: Answer
    quality: float


def vote_on(
    store: FeedbackStore, ref: VersionRef, served: Sequence[Served], since_us: int, rng: Random, noise: float = 0.1
) -> None:
    """Write the answers of a version, a second apart, and on each its user's thumb, of which `noise` are wrong."""
    rater = SimulatedUser(noise=noise)
    answers, votes = [], []
    for number, one in enumerate(served):
        time_us = since_us + number * _STEP_US
        name = f"{slices.first_id(time_us // 1_000)}-7000-8000-{number:012x}"
        ids = (name, f"q{number}")
        answers.append(LoggedResponse(*ids, ref, Channel.CHAMPION, "", one.user, "", time_us, "", one.answer))
        up = rater.thumb(one.quality, rng)
        about = (f"f-{name}", name, one.user, "", ref.policy, ref.version)
        votes.append(Feedback(*about, FeedbackKind.THUMB, time_us, thumb_up=up))
    consumer, offset = f"{_TOPIC} {ref.policy}", store.offset(f"{_TOPIC} {ref.policy}", _TOPIC, 0)
    told = [_answer(one) for one in answers]
    heard = [Arrival(_vote(one), _TOPIC, 0, place) for place, one in enumerate(votes)]
    store.apply(Batch(consumer, _TOPIC, 0, offset, offset + len(served), told, heard))


def _answer(record: LoggedResponse) -> AnswerOutline:
    found = outline(encode(record))
    assert isinstance(found, AnswerOutline)
    return found


def _vote(record: Feedback) -> FeedbackOutline:
    found = outline(encode(record))
    assert isinstance(found, FeedbackOutline)
    return found
