"""A database that hangs: its connections stand, and nothing comes back. Votes need only the log."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from postgres_server import PostgresServer

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.database.engine import connect
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.bounded_calls import BoundedCalls
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.votes import IngestedVotes
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.sql import open_store

VERSION = VersionRef("desk", "v1", "sha256:ab")
ANSWER = LoggedResponse(
    "r", "q", VERSION, Channel.CHAMPION, "", "ann", "", 1, "", ClassifyAnswer("t", 0, "a", (1.0,), 0.0, ("a",))
)
VOTE = Feedback("f", "r", "ann", "", "desk", "v1", FeedbackKind.THUMB, 2, thumb_up=True)
VOTES = 30  # more than there are threads, or connections
PATIENCE_S = 60


async def test_votes_go_on_while_the_database_hangs_and_count_once(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    with closing(open_store(postgres_url)) as store, closing(open_log(tmp_path / "log.sqlite")) as log:
        source = Source(log)
        worker = IngestWorker(source, store, Ingest())
        votes = IngestedVotes(store, IngestProgress(store, source), BoundedCalls("the database", rest_s=0.2))
        log.append([to_log(ANSWER), to_log(VOTE)])
        worker.drain()
        await until_known(votes)  # over a connection that stays
        with postgres.paused():
            async with asyncio.timeout(PATIENCE_S):
                others = [replace(VOTE, feedback_id=str(number)) for number in range(VOTES)]
                assert await asyncio.gather(*map(votes.is_known, [VOTE, *others])) == [False] * (VOTES + 1)
                assert await asyncio.to_thread(lambda: "not held up")
                with pytest.raises(Unavailable, match="the database does not answer in time"):
                    await votes.has_voted("r", "ann", FeedbackKind.THUMB)
        log.append([to_log(VOTE)])  # what the door does with one that it does not know
        await until_known(votes)
        worker.drain()
        assert store.vote_counts("desk")["v1"].thumbs_up == 1
        assert store.dead_letters(10) == []


async def until_known(votes: IngestedVotes) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await votes.is_known(VOTE):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("query", "wanted"), [("", "15000"), ("?tcp_user_timeout=4000", "4000")])
def test_a_server_that_is_cut_off_is_given_up(postgres_url: str, query: str, wanted: str) -> None:
    engine = connect(f"{postgres_url}{query}")
    with closing(engine.raw_connection()) as raw:
        found = raw.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    engine.dispose()
    assert {name: found[name] for name in ("tcp_user_timeout", "keepalives", "keepalives_idle")} == {
        "tcp_user_timeout": wanted,
        "keepalives": "1",
        "keepalives_idle": "5",
    }
