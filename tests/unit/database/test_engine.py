"""The engine's promises: durable commits, no lock taken by readers, faults named with their cure."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from thumbwheel.database import sqlite_setup
from thumbwheel.database.engine import connect
from thumbwheel.database.scrub import scrub
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import InvalidConfig, Unavailable


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path / 'db.sqlite'}")
    with writing(made) as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)"))
    yield made
    made.dispose()


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(text("SELECT count(*) FROM t")) or 0


def insert(engine: Engine, word: str) -> None:
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO t (word) VALUES (:word)"), {"word": word})


def test_the_file_is_for_its_owners_eyes_only_wherever_it_lies(tmp_path: Path) -> None:
    open_to_all = tmp_path / "home"
    open_to_all.mkdir(mode=0o755)
    usual = os.umask(0o022)
    try:
        made = connect(f"sqlite:///{open_to_all / 'db.sqlite'}")
        assert list(open_to_all.iterdir()) == []  # made by the first connection only
        with writing(made) as connection:
            connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in open_to_all.iterdir()}
        made.dispose()
    finally:
        os.umask(usual)
    assert "db.sqlite" in modes
    assert set(modes.values()) == {0o600}


def test_a_file_that_another_process_makes_just_now_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)")
    other.execute("BEGIN IMMEDIATE")  # not WAL yet: SQLite's own waiting does not cover the change to it
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    engine = connect(f"sqlite:///{path}")
    assert count(engine) == 0
    engine.dispose()
    release.join()
    other.close()


_TRY_LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1)"


def test_a_further_connection_does_not_drop_the_locks_that_the_process_holds(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite"
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1)
        further = connect(f"sqlite:///{path}")
        with further.connect():
            stranger = subprocess.run([sys.executable, "-c", _TRY_LOCK, path], capture_output=True, text=True)
        further.dispose()
    assert "BlockingIOError" in stranger.stderr


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1), ("busy_timeout", 10_000)],
)
def test_every_connection_is_set_up(engine: Engine, pragma: str, value: object) -> None:
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def test_a_block_that_raises_writes_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        connection.execute(text("INSERT INTO t (word) VALUES ('a')"))
        raise ZeroDivisionError
    assert count(engine) == 0


def test_readers_see_one_state_and_do_not_wait_for_a_writer(engine: Engine) -> None:
    with reading(engine) as connection:
        before = connection.scalar(text("SELECT count(*) FROM t"))
        with writing(engine) as writer:
            writer.execute(text("INSERT INTO t (word) VALUES ('a')"))
            assert connection.scalar(text("SELECT count(*) FROM t")) == before
        assert connection.scalar(text("SELECT count(*) FROM t")) == before
    assert count(engine) == 1


def test_writers_that_read_first_do_not_lose_updates(engine: Engine) -> None:
    insert(engine, "0")

    def raise_it() -> None:
        for _ in range(20):
            with writing(engine) as connection:
                value = int(connection.scalar(text("SELECT word FROM t")) or 0)
                connection.execute(text("UPDATE t SET word = :word"), {"word": str(value + 1)})

    threads = [threading.Thread(target=raise_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT word FROM t")) == "80"


def test_a_locked_database_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_setup, "_PRAGMAS", ("PRAGMA busy_timeout = 1", "PRAGMA journal_mode = WAL"))
    engine = connect(f"sqlite:///{tmp_path / 'db.sqlite'}")
    with writing(engine), pytest.raises(Unavailable, match="keeps it locked") as refused, writing(engine):
        pass
    assert refused.value.retry_after_s > 0
    engine.dispose()


def test_a_read_only_database_is_unavailable_for_writing(engine: Engine, tmp_path: Path) -> None:
    insert(engine, "a")
    read_only = connect(f"sqlite:///file:{tmp_path / 'db.sqlite'}?mode=ro&uri=true")
    assert count(read_only) == 1
    with pytest.raises(Unavailable, match="make the file and its folder writable"):
        insert(read_only, "b")
    read_only.dispose()


def test_a_full_database_is_unavailable_and_unchanged(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="full; free some space"), writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 20")
        connection.execute(text("INSERT INTO t (word) VALUES ('a')"))
        connection.execute(text("INSERT INTO t (word) VALUES (:word)"), {"word": "x" * 200_000})
    assert count(engine) == 0


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'nowhere' / 'db.sqlite'}")
    with pytest.raises(Unavailable, match="check that its folder exists"):
        count(engine)
    engine.dispose()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite").write_bytes(b"nothing of the kind" * 100)
    engine = connect(f"sqlite:///{tmp_path / 'db.sqlite'}")
    with pytest.raises(Unavailable, match="not a database"):
        count(engine)
    engine.dispose()


def test_a_defect_passes_as_it_is(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(text("INSERT INTO t (id) VALUES (1), (1)"))


@pytest.mark.parametrize("url", ["no url", "mysql://host/db", "nonsense://host/db", "postgresql+asyncpg://host/db"])
def test_other_urls_are_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidConfig, match=r"^database\.url: .*sqlite:///FILE or postgresql\+psycopg://"):
        connect(url)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:sec:ret@host:po rt/db", "postgresql+psycopg://u:p@host:secret/db"]
)
def test_a_malformed_url_is_not_quoted(url: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        connect(url)
    assert "sec" not in str(refused.value) and refused.value.__cause__ is None


def test_an_erasure_that_a_reader_hinders_says_so(engine: Engine, tmp_path: Path) -> None:
    insert(engine, "forget")
    with reading(engine) as connection:
        connection.scalar(text("SELECT count(*) FROM t"))
        with writing(engine) as writer:
            writer.execute(text("DELETE FROM t"))
        with engine.connect() as hurried:
            driver = hurried.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(Unavailable, match="erase again"):
            scrub(engine)
    scrub(engine)
    assert [file.name for file in tmp_path.iterdir() if b"forget" in file.read_bytes()] == []
