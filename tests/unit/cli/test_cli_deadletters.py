"""`thumbwheel deadletters` and `thumbwheel replay` on a home with the embedded log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from thumbwheel.app.home import Home
from thumbwheel.app.storage import open_source
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, NewRecord
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import SqliteLog
from thumbwheel.cli.main import group
from thumbwheel.config.settings import Ingest, Settings
from thumbwheel.errors import Conflict, HomeInUse, InvalidInput, NotFound
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

NOW_US = time.time_ns() // 1_000
Run = Callable[..., tuple[int, Any]]


def answer(name: str) -> LoggedResponse:
    served = ClassifyAnswer("a secret text", 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(name, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", NOW_US, "", served)


def vote(name: str, time_us: int = NOW_US) -> Feedback:
    return Feedback(f"f-{name}", name, "u", "", "p", "v", FeedbackKind.THUMB, time_us, thumb_up=True)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, home: Path = tmp_path) -> tuple[int, Any]:
        result = CliRunner().invoke(group, ["--home", str(home), *arguments, "--json"], catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)

    return run


class Desk:
    """A home whose log and store are written as the service does."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.source: Source = open_source(Settings(home=home), stack)
        self.store: FeedbackStore = open_store(Settings(home=home).database_url)
        self.worker = IngestWorker(self.source, self.store, Ingest())

    def take(self, *records: NewRecord) -> None:
        """Append, and move into the store."""
        self.source.log.append(records)
        self.worker.drain()
        self.worker.expire_orphans()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        made = Desk(tmp_path, stack)
        yield made
        made.store.close()


def test_a_vote_given_up_before_its_answer_came_counts_after_all(desk: Desk, run: Run) -> None:
    desk.take(to_log(vote("r", time_us=1)))
    desk.take(to_log(answer("r")))
    status, (listed,) = run("deadletters", "list")
    assert (status, listed["topic"], listed["reason"]) == (0, FEEDBACK, "its answer did not arrive in time")
    status, facts = run("deadletters", "show", str(listed["number"]))
    shown = {one["field"]: one["value"] for one in facts}
    assert bytes.fromhex(shown["bytes"]) == desk.store.dead_letters(1)[0].payload
    assert "feedback_id='f-r'" in shown["event"]
    assert run("deadletters", "retry", str(listed["number"])) == (
        0,
        [{"number": listed["number"], "back": True, "problem": ""}],
    )
    desk.worker.drain()
    assert desk.store.current_vote("r", "u", FeedbackKind.THUMB) is not None
    assert run("deadletters", "list") == (0, [])


def test_what_still_can_not_be_read_stays(desk: Desk, run: Run) -> None:
    newer = to_log(vote("r2"))
    desk.take(
        NewRecord(FEEDBACK, "r", b"poison"),
        NewRecord(FEEDBACK, "r2", newer.payload, {"thumbwheel-schema": b"events.v9"}),
        to_log(vote("r3", time_us=1)),
    )
    desk.take(to_log(answer("r3")))
    status, outcomes = run("deadletters", "retry", "--all")
    assert status == 1
    assert [one["back"] for one in outcomes] == [False, False, True]
    assert all("still can not be used: thumbwheel-schema" in one["problem"] for one in outcomes[:2])
    assert len(run("deadletters", "list")[1]) == 2
    # without the log's headers nothing tells what the bytes are
    desk.source.log.erase(["r2"])
    status, outcomes = run("deadletters", "retry", str(outcomes[1]["number"]))
    assert (status, "bytes alone don't tell their schema" in outcomes[0]["problem"]) == (1, True)


def test_one_that_is_larger_than_the_log_takes_by_now_keeps_no_other_back(
    desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.take(to_log(vote("r1", time_us=1)), to_log(vote("r2", time_us=1)))
    append = SqliteLog.append

    def append_small(log: SqliteLog, records: Sequence[NewRecord]) -> None:
        if records[0].key == "r1":
            raise InvalidInput("payload", "900 bytes, kafka.max_record_bytes allows 800")
        append(log, records)

    monkeypatch.setattr(SqliteLog, "append", append_small)
    status, outcomes = run("deadletters", "retry", "--all")
    assert (status, [one["back"] for one in outcomes]) == (1, [False, True])
    assert "kafka.max_record_bytes" in outcomes[0]["problem"]
    assert [one["number"] for one in run("deadletters", "list")[1]] == [outcomes[0]["number"]]


def test_a_number_that_is_not_there_is_named(desk: Desk, run: Run) -> None:
    with pytest.raises(NotFound, match="no dead letter 7"):
        run("deadletters", "retry", "7")
    desk.take(NewRecord(FEEDBACK, "r", b"poison"), NewRecord(FEEDBACK, "r", b"poison"))
    desk.store.remove_dead_letter(1)
    with pytest.raises(NotFound, match="no dead letter 1"):
        run("deadletters", "show", "1")


def test_a_replay_needs_an_empty_database_and_a_home_of_its_own(desk: Desk, run: Run, tmp_path: Path) -> None:
    desk.take(to_log(answer("r")))
    with pytest.raises(Conflict, match="a replay needs an empty one"):
        run("replay")
    with Home(tmp_path), pytest.raises(HomeInUse):
        run("replay")


def test_a_replay_of_the_embedded_log_says_what_the_log_has_lost(desk: Desk, run: Run, tmp_path: Path) -> None:
    desk.take(*(to_log(answer(f"r{number}")) for number in range(4)), to_log(vote("r3")))
    desk.source.log.trim("thumbwheel.requests", 0, 2)
    desk.store.close()
    for file in tmp_path.glob("store.sqlite*"):
        file.unlink()
    status, done = run("replay")
    assert (status, done["records"], done["orphan_votes"]) == (0, 3, 0)
    assert done["gone"] == ["thumbwheel.requests/0 below offset 2"]
    store = open_store(Settings(home=tmp_path).database_url)
    assert store.response("r1") is None
    assert store.current_vote("r3", "u", FeedbackKind.THUMB) is not None
    store.close()
