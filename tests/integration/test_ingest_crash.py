"""Processes that append and ingest, killed at random moments: what was acknowledged is in the store once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import select

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, TOPICS
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.database.engine import connect
from thumbwheel.database.schema import current_votes, feedback_events, orphans, responses
from thumbwheel.database.transactions import reading
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, LoggedResponse, VersionRef
from thumbwheel.store.sql import open_store

CHILD = Path(__file__).with_name("storage_child.py")
LIVES = 24
SERVER_LIVES = 6
SEED = 20


class Nursery:
    """A program that forks processes, one at a time, to be killed (SIGKILL) or to end by themselves."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
        self._database = database
        self._program = subprocess.Popen(
            [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._pid = 0

    def start(self, role: str, life: str = "0") -> str:
        """Start a process; return the first thing it says."""
        assert self._program.stdin is not None
        self._program.stdin.write(f"{role} {self._folder} {self._database} {life}\n")
        self._program.stdin.flush()
        said = ""
        while not (said and self._pid):
            line = self._line()
            if line.startswith("pid "):
                self._pid = int(line[4:])
            else:
                said = line
        return said

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            assert self._line() == "dead"
            self._pid = 0

    def close(self) -> None:
        self.kill()
        self._program.communicate()

    def _line(self) -> str:
        assert self._program.stdout is not None
        return self._program.stdout.readline().strip()


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The store's URL: a file, unless parametrized with "postgresql"."""
    if getattr(request, "param", "sqlite") == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


both_databases = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def nursery(tmp_path: Path, database: str) -> Iterator[Nursery]:
    made = Nursery(tmp_path, database)
    yield made
    made.close()


@pytest.fixture
def second_nursery(tmp_path: Path, database: str) -> Iterator[Nursery]:
    made = Nursery(tmp_path, database)
    yield made
    made.close()


def acknowledged(folder: Path) -> tuple[set[str], set[str]]:
    """Return the ids of acknowledged answers and of acknowledged votes' answers; a torn last line is not one."""
    entries = [entry.split(" ") for entry in (folder / "ledger").read_text().split("\n")[:-1]]
    return {name for kind, name in entries if kind == "r"}, {name for kind, name in entries if kind == "f"}


def balance(folder: Path, database: str, at_least: int) -> None:
    """Ingest what is left and compare ledger, log and store."""
    log = open_log(folder / "log.sqlite")
    store = open_store(database)
    IngestWorker(Source(log), store, Ingest()).drain()
    logged = {
        topic: [record.key for part in log.partitions(topic) for record in log.read(topic, part, 0, 10**6)]
        for topic in TOPICS
    }
    stored = rows(database)
    answers, votes = acknowledged(folder)
    assert min(len(answers), len(votes)) > at_least
    assert answers <= set(logged[REQUESTS]) and votes <= set(logged[FEEDBACK])
    assert sorted(stored["responses"]) == sorted(logged[REQUESTS])
    assert sorted(stored["feedback_events"] + stored["orphans"]) == sorted(logged[FEEDBACK])
    assert set(stored["orphans"]).isdisjoint(stored["responses"])
    assert sorted(stored["current_votes"]) == sorted(stored["feedback_events"])
    assert (store.watermark(), store.count_dead_letters()) == (len(stored["feedback_events"]), 0)
    store.close()
    log.close()


def rows(database: str) -> dict[str, list[str]]:
    """Return the response id of every row, by table."""
    engine = connect(database)
    with reading(engine) as connection:
        found = {
            table.name: list(connection.scalars(select(table.c.response_id)))
            for table in (responses, feedback_events, current_votes, orphans)
        }
    engine.dispose()
    return found


def await_progress(database: str) -> None:
    """Return when ingest has stored another answer."""
    before = len(rows(database)["responses"])
    while len(rows(database)["responses"]) == before:
        time.sleep(0.02)


@pytest.mark.slow
@both_databases
@pytest.mark.parametrize(("victim", "survivor"), [("append", "ingest"), ("ingest", "append")])
def test_a_process_killed_at_random_loses_and_doubles_nothing(
    tmp_path: Path, database: str, nursery: Nursery, second_nursery: Nursery, victim: str, survivor: str
) -> None:
    dice = random.Random(SEED)
    assert second_nursery.start(survivor, "survivor") == "ready"
    for life in range(LIVES):
        assert nursery.start(victim, f"{life}") == "ready"
        time.sleep(dice.uniform(0.0, 0.15))  # the moment of the kill is the point
        nursery.kill()
    second_nursery.kill()
    balance(tmp_path, database, LIVES)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_database_server_that_crashes_at_random_loses_and_doubles_nothing(
    tmp_path: Path, database: str, postgres: PostgresServer, nursery: Nursery, second_nursery: Nursery
) -> None:
    dice = random.Random(SEED)
    assert nursery.start("append") == "ready"
    assert second_nursery.start("ingest") == "ready"
    for _ in range(SERVER_LIVES):
        await_progress(database)
        time.sleep(dice.uniform(0.0, 0.3))  # the moment of the crash is the point
        postgres.stop("immediate")
        postgres.start()
    nursery.kill()
    second_nursery.kill()
    balance(tmp_path, database, SERVER_LIVES)


def answer(number: int) -> LoggedResponse:
    served = ClassifyAnswer("x" * 2_000, 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(f"r{number}", "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", 1, "", served)


def test_a_full_disk_refuses_appends_and_keeps_what_was_acknowledged(tmp_path: Path, nursery: Nursery) -> None:
    count, retry_after_s, message = nursery.start("fill_log").split(" ", 2)
    assert int(count) > 20
    assert float(retry_after_s) > 0
    assert "event log is unavailable" in message and "space" in message
    log = open_log(tmp_path / "log.sqlite")
    found = [record.key for record in log.read(REQUESTS, 0, 0, 10_000)]
    assert found[: int(count)] == [f"r{number}" for number in range(int(count))]
    log.append([to_log(answer(0))])  # there is room again
    log.close()


def test_a_full_disk_stops_ingest_where_it_stands(tmp_path: Path, database: str, nursery: Nursery) -> None:
    log = open_log(tmp_path / "log.sqlite")
    log.append([to_log(answer(number)) for number in range(500)])
    count, retry_after_s, message = nursery.start("fill_store").split(" ", 2)
    assert 0 < int(count) < 500
    assert float(retry_after_s) > 0
    assert "database is unavailable" in message and "space" in message
    store = open_store(database)
    assert IngestWorker(Source(log), store, Ingest()).drain() == 500 - int(count)  # there is room again
    assert all(store.response(f"r{number}") == answer(number) for number in range(500))
    store.close()
    log.close()
