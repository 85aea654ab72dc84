"""Waiting for ingest while votes are still in the outbox, not yet in the log that ingest reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.votes import IngestedVotes
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

VERSION = VersionRef("desk", "v1", "sha256:ab")
ANSWER = LoggedResponse(
    "r", "q", VERSION, Channel.CHAMPION, "", "ann", "", 1, "", ClassifyAnswer("t", 0, "a", (1.0,), 0.0, ("a",))
)
VOTE = Feedback("f", "r", "ann", "", "desk", "v1", FeedbackKind.THUMB, 2, thumb_up=True)


class Parts:
    """An outbox, the log behind it, and the store."""

    def __init__(self, folder: Path) -> None:
        self.outbox: EventLog = open_log(folder / "outbox.sqlite")
        self.log: EventLog = open_log(folder / "log.sqlite")
        self.store: FeedbackStore = open_store(f"sqlite:///{folder}/store.sqlite")
        self.source = Source(self.log, "ingest elsewhere", self.outbox)
        self.worker = IngestWorker(self.source, self.store, Ingest())
        self.relay = Relay(self.outbox, self.log)

    def lookup(self, patience_s: float) -> IngestedVotes:
        return IngestedVotes(self.store, IngestProgress(self.store, self.source, patience_s))

    async def has_voted(self, patience_s: float, rater: str = "ann") -> bool:
        return await self.lookup(patience_s).has_voted("r", rater, FeedbackKind.THUMB)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.store.close()
    made.log.close()
    made.outbox.close()


async def test_a_vote_in_the_outbox_is_not_denied(parts: Parts) -> None:
    parts.outbox.append([to_log(ANSWER), to_log(VOTE)])
    assert parts.worker.backlog() == 2
    with pytest.raises(Unavailable, match="still on their way"):
        await parts.has_voted(0.05)
    assert parts.relay.run_once() == 2
    assert parts.worker.backlog() == 2
    with pytest.raises(Unavailable, match="still on their way"):
        await parts.has_voted(0.05)
    parts.worker.drain()
    assert parts.worker.backlog() == 0
    assert await parts.has_voted(0.05)
    assert not await parts.has_voted(0.05, "bob")


async def test_it_is_waited_for_on_its_way_through_outbox_and_log(parts: Parts) -> None:
    parts.outbox.append([to_log(ANSWER), to_log(VOTE)])
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for work in (parts.relay.run, parts.worker.run)]
    asking = asyncio.ensure_future(parts.has_voted(60.0))
    await asyncio.sleep(0)
    for thread in threads:
        thread.start()
    try:
        assert await asking
    finally:
        stop.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)


async def test_a_vote_in_the_store_needs_no_wait_for_what_came_later(parts: Parts) -> None:
    parts.log.append([to_log(ANSWER), to_log(VOTE)])
    parts.worker.drain()
    parts.outbox.append([to_log(ANSWER)])
    assert await parts.has_voted(0.0)


def test_votes_wait_for_an_answer_that_is_still_in_the_outbox(parts: Parts) -> None:
    parts.log.append([to_log(VOTE)])
    parts.worker.drain()
    parts.outbox.append([to_log(ANSWER)])
    assert parts.worker.housekeep() == 0
    assert parts.store.count_orphans() == 1
    assert parts.relay.run_once() == 1
    parts.worker.drain()
    assert (parts.store.count_orphans(), parts.store.count_dead_letters()) == (0, 0)
    assert (parts.outbox.end_offset(REQUESTS, 0), parts.log.end_offset(FEEDBACK, 0)) == (1, 1)
