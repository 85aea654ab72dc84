"""A log that was found away refuses at once until it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from thumbwheel.bus.known_away import KnownAway
from thumbwheel.bus.port import FEEDBACK, NewRecord
from thumbwheel.errors import InvalidInput, LogUnavailable

VOTE = NewRecord(FEEDBACK, "r", b"vote")


class Log:
    """A log that may be away, or refuse for good."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.asked = 0
        self.taken: list[NewRecord] = []
        self.looked = threading.Semaphore(0)

    def append(self, records: Sequence[NewRecord]) -> None:
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        self.taken += records

    def look(self) -> None:
        self.looked.release()
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def votes(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[KnownAway]:
    monkeypatch.setattr("thumbwheel.bus.known_away._LOOK_S", 0.01)
    made = KnownAway(log, log.look)
    yield made
    made.close()
    assert not any(thread.name == "known-away" for thread in threading.enumerate())


def test_one_finds_it_away_and_the_others_are_refused_at_once_until_it_answers(log: Log, votes: KnownAway) -> None:
    log.problem = LogUnavailable("away", 3.0)
    for _ in range(20):
        with pytest.raises(LogUnavailable, match="^away$") as refused:
            votes.append([VOTE])
        assert refused.value.retry_after_s == 3.0
    assert log.asked == 1
    for _ in range(3):
        assert log.looked.acquire(timeout=60)
    log.problem = None
    while not log.taken:
        try:
            votes.append([VOTE])
        except LogUnavailable:
            assert log.asked == 1
    assert (log.asked, log.taken) == (2, [VOTE])


def test_it_may_be_away_again(log: Log, votes: KnownAway) -> None:
    for times in (1, 2):
        log.problem = LogUnavailable("away", 1.0)
        while log.asked < 2 * times - 1:
            with pytest.raises(LogUnavailable):
                votes.append([VOTE])
        log.problem = None
        while len(log.taken) < times:
            try:
                votes.append([VOTE])
            except LogUnavailable:
                assert log.looked.acquire(timeout=60)


def test_a_record_that_is_refused_for_good_is_no_absence(log: Log, votes: KnownAway) -> None:
    log.problem = InvalidInput("payload", "too large")
    for asked in (1, 2):
        with pytest.raises(InvalidInput):
            votes.append([VOTE])
        assert log.asked == asked
