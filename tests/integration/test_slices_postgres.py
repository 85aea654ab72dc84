"""Slices while somebody else uses the tables: what can not be had now is no reason to store nothing."""

from __future__ import annotations

import threading

import pytest
from answered import answer_and_vote
from filled_store import response_id
from recorded_batch import recorded_batch
from sqlalchemy import text

from thumbwheel.bus.port import FEEDBACK
from thumbwheel.database.engine import connect
from thumbwheel.database.slices import DAY_MS
from thumbwheel.database.transactions import reading
from thumbwheel.errors import Unavailable
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

DAY_US = DAY_MS * 1_000


def put(store: FeedbackStore, day: int) -> str:
    """Store an answer of a day since the epoch with its thumb; return its id."""
    name = response_id(day * DAY_MS, day)
    offset = store.offset("c", FEEDBACK, 0)
    answer, vote = answer_and_vote(day, name)
    store.apply(recorded_batch("c", FEEDBACK, 0, offset, offset + 1, [answer], [vote]))
    return name


def count(url: str, table: str) -> int:
    engine = connect(url)
    with reading(engine) as connection:
        found = int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)
    engine.dispose()
    return found


def test_a_reader_that_does_not_end_keeps_no_answer_from_being_stored(postgres_url: str) -> None:
    store, engine = open_store(postgres_url), connect(postgres_url)
    store.forget_before(0, 5)
    with reading(engine) as reader:
        reader.execute(text("SELECT count(*) FROM responses")).all()
        first = put(store, 3)  # its slice can not be had now
    assert count(postgres_url, "responses_rest") == 1
    store.close()
    store = open_store(postgres_url)
    second = put(store, 4)  # makes the slice that was missing, and takes the first one along
    assert count(postgres_url, "responses_rest") == count(postgres_url, "current_votes_rest") == 0
    found = [one.response.response_id for one in store.rated("p", store.watermark())]
    assert found == [first, second]
    assert store.forget_before(17 * DAY_US, 5).slices == 1
    engine.dispose()
    store.close()


def test_a_slice_that_another_process_dropped_is_done_without(postgres_url: str) -> None:
    store, other = open_store(postgres_url), open_store(postgres_url)
    store.forget_before(0, 5)
    put(store, 16)
    other.forget_before(30 * DAY_US, 5)
    put(store, 31)
    put(store, 17)  # past by now
    assert count(postgres_url, "responses") == 1
    store.close()
    other.close()


def test_a_drop_waits_for_a_reader_in_the_middle_of_its_reading(postgres_url: str) -> None:
    store, engine = open_store(postgres_url), connect(postgres_url)
    store.forget_before(0, 5)
    put(store, 3)
    dropping = threading.Thread(target=store.forget_before, args=(17 * DAY_US, 5))
    with reading(engine) as reader:
        assert reader.scalar(text("SELECT count(*) FROM feedback_events")) == 1
        dropping.start()
        while not reader.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            pass
        assert reader.scalar(text("SELECT count(*) FROM responses")) == 1
    dropping.join()
    assert count(postgres_url, "responses") == 0
    engine.dispose()
    store.close()


def test_a_reader_that_does_not_end_lets_the_drop_wait_for_its_next_turn(postgres_url: str) -> None:
    store, engine = open_store(postgres_url), connect(postgres_url)
    store.forget_before(0, 5)
    put(store, 3)
    with reading(engine) as reader:
        assert reader.scalar(text("SELECT count(*) FROM responses")) == 1
        with pytest.raises(Unavailable, match="keeps it locked"):
            store.forget_before(17 * DAY_US, 5)
    assert store.forget_before(17 * DAY_US, 5).slices == 1
    engine.dispose()
    store.close()
