"""A vote is acknowledged once the broker has it and the answers that were given before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from thumbwheel.bus.broker_votes import BrokerVotes
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog, NewRecord, StoredRecord
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.errors import LogUnavailable

VOTE = NewRecord(FEEDBACK, "r", b"vote")
ANSWER = NewRecord(REQUESTS, "r", b"answer")


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[tuple[EventLog, EventLog]]:
    """An outbox, and the log behind it."""
    outbox, log = open_log(tmp_path / "outbox.sqlite"), open_log(tmp_path / "log.sqlite")
    yield outbox, log
    outbox.close()
    log.close()


def test_it_goes_past_the_outbox(logs: tuple[EventLog, EventLog]) -> None:
    outbox, log = logs
    BrokerVotes(log, outbox, patience_s=0.0).append([VOTE])
    assert [one.payload for one in log.read(FEEDBACK, 0, 0, 10)] == [b"vote"]
    assert outbox.end_offset(FEEDBACK, 0) == 0


def test_it_is_no_promise_while_an_answer_from_before_is_in_the_outbox_only(logs: tuple[EventLog, EventLog]) -> None:
    outbox, log = logs
    outbox.append([ANSWER])
    with pytest.raises(LogUnavailable, match="answers from before are still on their way") as refused:
        BrokerVotes(log, outbox, patience_s=0.0).append([VOTE])
    assert refused.value.retry_after_s > 0
    assert log.read(FEEDBACK, 0, 0, 10) == []  # without its answer it would be an orphan, once this disk is lost


def test_it_waits_for_the_answers_before_it_and_for_no_later_ones(logs: tuple[EventLog, EventLog]) -> None:
    outbox, log = logs
    outbox.append([ANSWER])
    looked, done = threading.Event(), threading.Event()

    class Watched:
        """The outbox, telling when it was first asked how far it was shipped."""

        def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
            looked.set()
            return outbox.read(topic, partition, offset, limit)

        def __getattr__(self, name: str) -> Any:
            return getattr(outbox, name)

    def vote() -> None:
        BrokerVotes(log, cast(EventLog, Watched()), patience_s=60.0).append([VOTE])
        done.set()

    voter = threading.Thread(target=vote, daemon=True)
    voter.start()
    assert looked.wait(60)
    assert not done.is_set()
    assert Relay(outbox, log).run_once() == 1
    outbox.append([ANSWER])
    assert done.wait(60)
    voter.join()
    assert len(log.read(REQUESTS, 0, 0, 10)) == 1
    assert len(log.read(FEEDBACK, 0, 0, 10)) == 1


def test_whoever_votes_is_not_told_where_the_brokers_are(logs: tuple[EventLog, EventLog]) -> None:
    class Away:
        def append(self, records: object) -> None:
            raise LogUnavailable("Kafka is unavailable at kafka-1.internal:9092: it hangs", 7.0)

    with pytest.raises(LogUnavailable, match="^Kafka has not acknowledged it, and may be unavailable") as refused:
        BrokerVotes(cast(EventLog, Away()), logs[0], patience_s=0.0).append([VOTE])
    assert refused.value.retry_after_s == 7.0
    assert "internal" in str(refused.value.__cause__)
