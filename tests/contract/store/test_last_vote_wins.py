"""Property: whatever the order of arrival and the cut into batches, the votes are those of a naive model."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_batch import recorded_batch

from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    Retraction,
    VersionRef,
)
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

Event = Feedback | Retraction
Key = tuple[str, str, FeedbackKind]
KINDS = (FeedbackKind.THUMB, FeedbackKind.RATING)
OPENERS: dict[str, Callable[[Path], FeedbackStore]] = {
    "sqlite": lambda folder: open_store(f"sqlite:///{folder / 'store.sqlite'}"),
}


@contextmanager
def fresh_store(adapter: str) -> Iterator[FeedbackStore]:
    with TemporaryDirectory() as folder:
        store = OPENERS[adapter](Path(folder))
        yield store
        store.close()


def answer(response_id: str) -> LoggedResponse:
    served = ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(response_id, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", 1, "", served)


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """Some events with few different times, raters and answers, each with an id of its own."""
    count = draw(st.integers(1, 14))
    return [_event(draw, number) for number in range(count)]


def _event(draw: st.DrawFn, number: int) -> Event:
    feedback_id = f"{draw(st.integers(0, 9))}-{number}"
    response_id, rater = draw(st.sampled_from(["r1", "r2"])), draw(st.sampled_from(["u1", "u2"]))
    kind, time_us = draw(st.sampled_from(KINDS)), draw(st.integers(1, 4))
    if draw(st.integers(0, 3)) == 0:
        return Retraction(feedback_id, response_id, rater, "", kind, time_us)
    thumb = draw(st.booleans()) if kind is FeedbackKind.THUMB else None
    stars = draw(st.integers(1, 5)) if kind is FeedbackKind.RATING else None
    return Feedback(feedback_id, response_id, rater, "", "p", "v", kind, time_us, thumb_up=thumb, rating=stars)


def model(given_events: Sequence[Event]) -> dict[Key, str]:
    """Return the feedback id of the current vote of each key that has one."""
    last: dict[Key, Event] = {}
    for event in sorted(given_events, key=lambda event: (event.time_us, event.feedback_id)):
        last[event.response_id, event.rater, event.kind] = event
    return {key: event.feedback_id for key, event in last.items() if isinstance(event, Feedback)}


def stored(store: FeedbackStore) -> dict[Key, str]:
    """Read the current votes one by one."""
    keys = [(response_id, rater, kind) for response_id in ("r1", "r2") for rater in ("u1", "u2") for kind in KINDS]
    found = {key: store.current_vote(*key) for key in keys}
    return {key: vote.feedback_id for key, vote in found.items() if vote}


def streamed(store: FeedbackStore, watermark: int) -> dict[Key, str]:
    """Read them as learning does."""
    return {
        (rated.response.response_id, vote.rater, vote.kind): vote.feedback_id
        for rated in store.rated("p", watermark)
        for vote in rated.votes
    }


def feed(store: FeedbackStore, arriving: Sequence[Event | LoggedResponse], cuts: random.Random) -> None:
    """Apply in batches of random size."""
    left = list(arriving)
    offset = store.offset("c", "t", 0)
    while left:
        size = cuts.randint(1, 5)
        batch, left = left[:size], left[size:]
        responses = [record for record in batch if isinstance(record, LoggedResponse)]
        feedback = [record for record in batch if not isinstance(record, LoggedResponse)]
        store.apply(recorded_batch("c", "t", 0, offset, offset + len(batch), responses, feedback))
        offset += len(batch)


@pytest.mark.parametrize("adapter", sorted(OPENERS))
@settings(max_examples=40, deadline=None)
@given(given_events=events(), seed=st.integers(0, 2**32))
def test_any_order_of_arrival_gives_the_same_votes(adapter: str, given_events: list[Event], seed: int) -> None:
    order = random.Random(seed)
    arriving: list[Event | LoggedResponse] = [*given_events, answer("r1"), answer("r2")]
    repeats = order.choices(given_events, k=3)
    arriving += repeats
    order.shuffle(arriving)
    with fresh_store(adapter) as store:
        feed(store, arriving, order)
        expected = model(given_events)
        assert stored(store) == expected
        assert streamed(store, store.watermark()) == expected
        assert store.watermark() == len(given_events)
        assert store.new_votes("p", 0) == Counter(key[2] for key in expected)
        counts = store.vote_counts("p")["v"]
        thumbs = counts.thumbs_up + counts.thumbs_down
        assert (thumbs, counts.ratings) == tuple(sum(key[2] is kind for key in expected) for kind in KINDS)


@pytest.mark.parametrize("adapter", sorted(OPENERS))
@settings(max_examples=20, deadline=None)
@given(early=events(), late=events(), seed=st.integers(0, 2**32))
def test_a_watermarks_rows_never_change(adapter: str, early: list[Event], late: list[Event], seed: int) -> None:
    order = random.Random(seed)
    order.shuffle(early)
    with fresh_store(adapter) as store:
        feed(store, [*early, answer("r1")], order)  # feedback on r2 waits, so it is not in the watermark
        watermark = store.watermark()
        before = list(store.rated("p", watermark))
        feed(store, [*(_renamed(event) for event in late), answer("r2")], order)
        assert list(store.rated("p", watermark)) == before
        assert streamed(store, watermark) == model([event for event in early if event.response_id == "r1"])


def _renamed(event: Event) -> Event:
    return replace(event, feedback_id="late-" + event.feedback_id)
