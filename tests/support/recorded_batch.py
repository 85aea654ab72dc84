"""Batches of records, as ingest would make them of the log that has these records."""

from __future__ import annotations

from collections.abc import Sequence

from thumbwheel.events.convert import encode
from thumbwheel.events.outline import AnswerOutline, FeedbackOutline, outline
from thumbwheel.records import DeadLetter, Feedback, LoggedResponse, Retraction
from thumbwheel.store.port import NO_PLACE, Arrival, Batch


def recorded_batch(
    consumer: str,
    topic: str,
    partition: int,
    expected_offset: int,
    next_offset: int,
    responses: Sequence[LoggedResponse] = (),
    feedback: Sequence[Feedback | Retraction] = (),
    offsets: Sequence[int] = (),
    dead_letters: Sequence[DeadLetter] = (),
) -> Batch:
    """Return a batch; `offsets` are those of each of `feedback` in the log, if that matters."""
    places = offsets or [NO_PLACE] * len(feedback)
    arrivals = [
        Arrival(vote_outline(vote), topic, partition, place) for vote, place in zip(feedback, places, strict=True)
    ]
    answers = [answer_outline(one) for one in responses]
    return Batch(consumer, topic, partition, expected_offset, next_offset, answers, arrivals, dead_letters)


def answer_outline(answer: LoggedResponse) -> AnswerOutline:
    """Return the outline of an answer's event."""
    found = outline(encode(answer))
    assert isinstance(found, AnswerOutline)
    return found


def vote_outline(vote: Feedback | Retraction) -> FeedbackOutline:
    """Return the outline of an event of feedback."""
    found = outline(encode(vote))
    assert isinstance(found, FeedbackOutline)
    return found
