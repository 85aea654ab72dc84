"""What only a database server does: it goes away, refuses, is too slow, and has workers at once."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from postgres_server import PASSWORD, PostgresServer
from recorded_batch import recorded_batch
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError

from thumbwheel.bus.port import FEEDBACK, REQUESTS
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import check
from thumbwheel.database.postgres_setup import take_time
from thumbwheel.database.rows import insert_rows
from thumbwheel.database.schema import counters, orphans, responses
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import InvalidConfig, Unavailable
from thumbwheel.records import (
    AuditAction,
    AuditEntry,
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    VersionRef,
)
from thumbwheel.store import orphans as waiting
from thumbwheel.store.port import Arrival
from thumbwheel.store.sql import SqlStore, open_store

Connect = Callable[[str], Engine]


@pytest.fixture
def connected(postgres_url: str) -> Iterator[Connect]:
    """Make engines of this test's database with more in their URL; all are disposed of in the end."""
    with ExitStack() as stack:

        def make(query: str = "") -> Engine:
            engine = connect(postgres_url + query)
            stack.callback(engine.dispose)
            return engine

        yield make


def limits(**milliseconds: int) -> str:
    return "?options=" + "%20".join(f"-c%20{name}%3D{value}" for name, value in milliseconds.items())


def answer(name: str, text: str = "text") -> LoggedResponse:
    served = ClassifyAnswer(text, 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(name, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", 1, "", served)


def vote(name: str) -> Feedback:
    return Feedback(f"f-{name}", name, "u", "", "p", "v", FeedbackKind.THUMB, 1, thumb_up=True)


def count_up(connection: Connection) -> None:
    connection.execute(text("UPDATE registry_generation SET value = value + 1"))


def counted(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(text("SELECT value FROM registry_generation")) or 0


# --- connections --------------------------------------------------------------------------------------------


def test_every_connection_has_its_limits_and_commits_for_good(postgres: PostgresServer, connected: Connect) -> None:
    with postgres.admin() as admin:
        admin.execute("ALTER ROLE thumbwheel SET synchronous_commit = off")
    try:
        engine = connected("")
        with reading(engine) as first, reading(engine) as second:
            for connection in (first, second):
                names = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit"
                found = [connection.scalar(text(f"SHOW {name}")) for name in names]
                assert found == ["1min", "10s", "30s", "on"]
    finally:
        with postgres.admin() as admin:
            admin.execute("ALTER ROLE thumbwheel RESET synchronous_commit")


def test_what_the_url_says_wins(connected: Connect) -> None:
    with reading(connected(limits(statement_timeout=7_000) + "&application_name=page")) as connection:
        found = [connection.scalar(text(f"SHOW {name}")) for name in ("statement_timeout", "application_name")]
        assert [*found, connection.scalar(text("SHOW lock_timeout"))] == ["7s", "page", "10s"]


def test_a_reader_can_not_write_and_sees_one_state(connected: Connect) -> None:
    engine = connected("")
    with reading(engine) as reader:
        before = reader.scalar(text("SELECT value FROM registry_generation"))
        with writing(engine) as writer:
            count_up(writer)
        assert reader.scalar(text("SELECT value FROM registry_generation")) == before
    with pytest.raises(Unavailable, match="read-only"), reading(engine) as reader:
        count_up(reader)


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer) -> None:
    with postgres.admin() as admin:
        admin.execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    engine = connect(postgres.url("latin"))
    with pytest.raises(InvalidConfig, match=r"database\.url: .*LATIN1; make one with ENCODING 'UTF8'"):
        check(engine)
    engine.dispose()


# --- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        (
            lambda server: server.url("test").replace(PASSWORD, "wr0ng-paSSword"),
            "mend host, port, database, user or password",
        ),
        (lambda server: server.url("nowhere"), "mend host, port, database, user or password"),
        (lambda _: f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:1/db", "start it"),
    ],
)
def test_a_server_that_refuses_is_unavailable_and_nothing_leaks(
    postgres: PostgresServer, change: Callable[[PostgresServer], str], cure: str
) -> None:
    with pytest.raises(Unavailable, match=cure) as refused:
        open_store(change(postgres))
    assert refused.value.retry_after_s > 0
    assert "paSSword" not in "".join(traceback.format_exception(refused.value))


def test_a_server_that_crashed_and_came_back_is_used_again(postgres: PostgresServer, connected: Connect) -> None:
    engine = connected("")
    with pytest.raises(Unavailable, match="does not answer|stopping"), writing(engine) as connection:
        count_up(connection)
        postgres.stop("immediate")
        try:
            count_up(connection)
        finally:
            postgres.start()
    assert counted(engine) == 0
    with writing(engine) as connection:
        count_up(connection)
    assert counted(engine) == 1


def test_connections_that_broke_while_nobody_used_them_are_not_noticed(
    postgres: PostgresServer, connected: Connect
) -> None:
    engine = connected("")
    assert counted(engine) == 0
    postgres.stop("immediate")
    postgres.start()
    assert counted(engine) == 0


def test_a_statement_that_takes_too_long_is_ended(connected: Connect) -> None:
    with pytest.raises(Unavailable, match="took too long"), reading(connected(limits(statement_timeout=50))) as reader:
        reader.execute(text("SELECT pg_sleep(60)"))


def test_a_migration_may_take_its_time(connected: Connect) -> None:
    engine = connected(limits(statement_timeout=50))
    with writing(engine) as connection:
        take_time(connection)
        connection.execute(text("SELECT pg_sleep(0.1)"))
    with pytest.raises(Unavailable, match="took too long"), writing(engine) as connection:
        connection.execute(text("SELECT pg_sleep(60)"))


def test_a_writer_waits_for_another_only_so_long(connected: Connect) -> None:
    hurried = connected(limits(lock_timeout=50))
    with writing(connected("")), pytest.raises(Unavailable, match="keeps it locked") as refused, writing(hurried):
        pass
    assert refused.value.retry_after_s > 0


def test_a_writer_that_stands_still_is_ended_and_written_off(connected: Connect) -> None:
    frozen = connected(limits(idle_in_transaction_session_timeout=200))
    other = connected("")
    with pytest.raises(Unavailable), writing(frozen) as connection:
        count_up(connection)
        with writing(other) as second:  # waits until the server has ended the first
            count_up(second)
        count_up(connection)
    assert counted(other) == 1


def test_a_writer_that_stands_still_half_way_through_its_rows_is_ended_by_who_waits_for_it(connected: Connect) -> None:
    frozen = connected("")
    other = connected(limits(idle_in_transaction_session_timeout=200, lock_timeout=300))
    with pytest.raises(Unavailable), writing(frozen) as connection:
        driver: Any = connection.connection.dbapi_connection
        with driver.pipeline() as pipeline:
            driver.execute("SELECT 1")
            driver.wait(pipeline._communicate_gen())  # sent, but for its end: as far as a SIGSTOP let it
            with pytest.raises(Unavailable, match="keeps it locked"), writing(other):
                pass
            with writing(other) as second:
                count_up(second)
    assert counted(other) == 1


def test_a_writer_that_stands_still_within_a_copy_is_ended_by_who_waits_for_it(connected: Connect) -> None:
    frozen = connected("")
    other = connected(limits(idle_in_transaction_session_timeout=200, lock_timeout=300))

    class Rows(list[tuple[object, ...]]):
        def __iter__(self) -> Iterator[tuple[object, ...]]:
            with pytest.raises(Unavailable, match="keeps it locked"), writing(other):
                pass
            with writing(other) as second:
                count_up(second)
            yield "r", "p", "v", "u", 1, b""

    with pytest.raises(Unavailable), writing(frozen) as connection:
        insert_rows(connection, responses, Rows([()]))
    assert counted(other) == 1


def test_a_writer_in_the_middle_of_its_rows_is_let_be(connected: Connect) -> None:
    busy, hurried = connected(""), connected(limits(lock_timeout=50))
    with writing(busy) as connection:
        driver: Any = connection.connection.dbapi_connection
        with driver.pipeline() as pipeline:
            driver.execute("SELECT 1")
            driver.wait(pipeline._communicate_gen())
            for _ in range(3):
                with pytest.raises(Unavailable, match="keeps it locked"), writing(hurried):
                    pass
        count_up(connection)
    assert counted(hurried) == 1


def test_a_defect_passes_without_what_users_wrote(connected: Connect) -> None:
    row = {"policy": "p", "version": "v", "user_hash": "u", "time_us": 1, "payload": b"secret words"}
    with pytest.raises(IntegrityError) as defect, writing(connected("")) as connection:
        for _ in range(2):
            connection.execute(responses.insert().values(response_id="r", **row))
    assert "secret" not in str(defect.value)


def test_rows_that_are_refused_are_a_defect_without_what_users_wrote(connected: Connect) -> None:
    rows = [(name, "p", "v", "u", 1, b"secret words") for name in ("r", "s", "r")]
    engine = connected("")
    with pytest.raises(IntegrityError) as defect, writing(engine) as connection:
        insert_rows(connection, responses, rows)
    assert "secret" not in str(defect.value)
    with reading(engine) as connection:
        assert connection.scalars(select(responses.c.response_id)).all() == []


def test_a_server_that_crashes_while_it_takes_rows_is_unavailable(postgres: PostgresServer, connected: Connect) -> None:
    engine = connected("")

    class Rows(list[tuple[object, ...]]):
        def __iter__(self) -> Iterator[tuple[object, ...]]:
            postgres.stop("immediate")
            try:
                yield from ((f"r{number}", "p", "v", "u", 1, bytes(1_000)) for number in range(2_000))
            finally:
                postgres.start()

    with pytest.raises(Unavailable, match="does not answer|stopping"), writing(engine) as connection:
        insert_rows(connection, responses, Rows([()]))
    with writing(engine) as connection:
        insert_rows(connection, responses, [("r", "p", "v", "u", 1, b"")])
    with reading(engine) as connection:
        assert connection.scalars(select(responses.c.response_id)).all() == ["r"]


# --- several at once ----------------------------------------------------------------------------------------


def test_a_vote_and_its_answer_that_are_stored_at_once_find_each_other(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(postgres_url)
    looked, voted = threading.Event(), threading.Event()
    take = waiting.take

    def look_and_linger(connection: Connection, response_ids: Sequence[str]) -> list[Arrival]:
        found = take(connection, response_ids)
        if response_ids:
            looked.set()
            voted.wait(1.0)  # the vote must wait for this transaction; if it did not, it would be an orphan for good
        return found

    monkeypatch.setattr(waiting, "take", look_and_linger)
    answered = threading.Thread(target=store.apply, args=(recorded_batch("c", REQUESTS, 0, 0, 1, [answer("r")]),))
    answered.start()
    looked.wait()
    store.apply(recorded_batch("c", FEEDBACK, 0, 0, 1, feedback=[vote("r")]))
    voted.set()
    answered.join()
    assert (store.count_orphans(), store.watermark()) == (0, 1)
    store.close()


# --- erasure ------------------------------------------------------------------------------------------------


@contextmanager
def snapshot(engine: Engine) -> Iterator[None]:
    with reading(engine) as connection:
        connection.execute(select(counters))
        yield


@contextmanager
def reader_of_the_table(engine: Engine) -> Iterator[None]:
    with reading(engine) as connection:
        connection.execute(select(orphans))
        connection.execute(select(responses))
        yield


@pytest.mark.parametrize("hinder", [snapshot, reader_of_the_table])
def test_an_erasure_that_a_reader_hinders_says_so(
    postgres: PostgresServer,
    postgres_url: str,
    connected: Connect,
    hinder: Callable[[Engine], AbstractContextManager[None]],
) -> None:
    store = SqlStore(connected(limits(lock_timeout=200)))
    store.apply(recorded_batch("c", REQUESTS, 0, 0, 1, [answer("r", "forgotten words")]))
    entry = AuditEntry(1, AuditAction.USER_ERASED, "ann", "asked for")
    with hinder(connected("")), pytest.raises(Unavailable, match="1 answer, 0 votes.*(erase again|keeps it locked)"):
        store.erase_user("u", entry)
    # Who erases again finds nothing any more: what there was is in the trail.
    assert [one.subject for one in store.audit_trail("", 9)] == [
        "1 answer, 0 votes; versions that learned from them: none"
    ]
    assert any(b"forgotten" in file.read_bytes() for file in postgres.files(postgres_url))
    store.erase_user("u")
    assert not any(b"forgotten" in file.read_bytes() for file in postgres.files(postgres_url))


def test_the_planners_statistics_forget_too(postgres: PostgresServer, postgres_url: str) -> None:
    store = open_store(postgres_url)
    answers = [
        replace(answer(f"r{number}"), user_hash="forgotten" if number == 7 else f"u{number}") for number in range(50)
    ]
    store.apply(recorded_batch("c", REQUESTS, 0, 0, 1, answers))
    with postgres.admin(postgres_url.rpartition("/")[2]) as admin:
        admin.execute("ANALYZE")
    before = [file for file in postgres.files(postgres_url) if b"forgotten" in file.read_bytes()]
    store.erase_user("forgotten")
    assert len(before) > 2  # the table, its index, and the statistics
    assert [file for file in postgres.files(postgres_url) if b"forgotten" in file.read_bytes()] == []
    store.close()


def test_an_erasure_without_the_rights_for_it_says_so(postgres: PostgresServer, postgres_url: str) -> None:
    store = open_store(postgres_url)
    with postgres.admin(postgres_url.rpartition("/")[2]) as admin:
        admin.execute(f"ALTER DATABASE {postgres_url.rpartition('/')[2]} OWNER TO admin")
        admin.execute("ALTER TABLE orphans OWNER TO admin")
        admin.execute("GRANT ALL ON orphans TO thumbwheel")
        with pytest.raises(Unavailable, match="owner of its tables"):
            store.erase_user("u")
        admin.execute("ALTER TABLE orphans OWNER TO thumbwheel")
    store.erase_user("u")  # only the statistics are passed over
    store.close()
