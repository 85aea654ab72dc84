"""Migrations up, down, at once, and from the future."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from filled_store import END_MS, response_id
from postgres_server import PostgresServer
from sqlalchemy import Engine, inspect, select, text

from thumbwheel.bus.port import USER_KEYS
from thumbwheel.database import migrations, slices
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import EMPTY, HEAD, check, current, downgrade, migrate
from thumbwheel.database.schema import SLICED, counters, metadata, registry_generation, retention, versions
from thumbwheel.errors import SchemaMismatch
from thumbwheel.records import WrappedKey
from thumbwheel.store.user_keys import SqlUserKeys

TRIALS = {"trials", "trial_voices", "trial_serving", "gate_limits"}
KEYS = {"api_keys"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'db.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(empty=True) as url:
        yield url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = connect(url)
    yield made
    made.dispose()


def tables(engine: Engine) -> set[str]:
    """All tables but Alembic's and, on PostgreSQL, the partitions of others."""
    return {name for name in inspect(engine).get_table_names() if not _is_partition(name)} - {"alembic_version"}


def _is_partition(name: str | None) -> bool:
    return name is not None and name.startswith(tuple(f"{table.name}_" for table in SLICED))


def test_the_migrations_make_exactly_the_tables_of_the_code(engine: Engine) -> None:
    assert current(engine) == EMPTY
    migrate(engine)
    assert current(engine) == HEAD
    check(engine)
    with engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: kind != "table" or not _is_partition(name)}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        assert connection.execute(select(retention)).all() == [(1, "", 28)]
        assert connection.execute(select(registry_generation)).all() == [(1, 0)]
        assert connection.execute(select(counters)).all() == [("feedback", 0)]


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE counters SET value = 7"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(select(counters.c.value)) == 7


def test_down_and_up_again(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, EMPTY)
    assert (current(engine), tables(engine)) == (EMPTY, set())
    migrate(engine)
    assert tables(engine) == set(metadata.tables)


def test_a_database_of_the_release_before_is_brought_up_with_its_rows(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0001")
    assert tables(engine) == set(metadata.tables) - {"audit", "retention", "user_keys", *TRIALS, *KEYS}
    with engine.begin() as connection:
        connection.execute(text("UPDATE counters SET value = 7"))
    migrate(engine)
    assert (current(engine), tables(engine)) == (HEAD, set(metadata.tables))
    with engine.connect() as connection:
        assert connection.scalar(select(counters.c.value)) == 7


def test_a_canary_goes_with_the_tables_of_its_trial(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        for channel, version in (("champion", "v1"), ("canary", "v2"), ("shadow", "v3")):
            connection.execute(text(f"INSERT INTO channels VALUES ('intent', '{channel}', '{version}', 1)"))
        before = connection.scalar(select(registry_generation.c.value)) or 0
    downgrade(engine, "0004")
    assert tables(engine) == set(metadata.tables) - TRIALS - KEYS
    with engine.connect() as connection:
        assert connection.execute(text("SELECT channel FROM channels")).scalars().all() == ["champion"]
        assert connection.scalar(select(registry_generation.c.value)) == before + 1  # replicas look
    migrate(engine)
    assert tables(engine) == set(metadata.tables)


def test_versions_of_the_release_before_lie_where_they_lay(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0002")
    row = "('intent', 'v3', 3, 'classify', '', 'sha256:0', '{}', '', 1)"
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO versions VALUES {row}"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(select(versions.c.seq, versions.c.location)).all() == [(3, "intent/v3")]
    downgrade(engine, "0002")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version, seq FROM versions")).all() == [("v3", 3)]


def test_rows_of_the_release_before_come_into_the_slices_of_their_time(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0003")
    days = 86_400_000
    names = [response_id(time_ms, number) for number, time_ms in enumerate((0, 27 * days, 28 * days, END_MS))] + ["r1"]
    with engine.begin() as connection:
        for seq, name in enumerate(names):
            connection.execute(text(f"INSERT INTO responses VALUES ('{name}', 'p', 'v', 'u', 1, '')"))
            columns = "(seq, rater, feedback_id, response_id, policy, payload)"
            connection.execute(
                text(f"INSERT INTO feedback_events {columns} VALUES ({seq}, 'u', 'f{seq}', '{name}', 'p', '')")
            )
            connection.execute(
                text(f"INSERT INTO current_votes VALUES ('{name}', 'u', 'k', {seq}, 'p', 'v', 1, 'f', false, true, 1)")
            )
    migrate(engine)
    for _ in range(2):
        with engine.connect() as connection:
            for table in SLICED:
                found = connection.scalars(select(table.c.response_id).order_by(table.c.response_id)).all()
                assert list(found) == sorted(names)
            if current(engine) == HEAD and connection.dialect.name == "postgresql":
                assert [one.start_ms // days for one in slices.present(connection)] == [
                    0,
                    28,
                    END_MS // days // 28 * 28,
                ]
                lying = text("SELECT tableoid::regclass::text, count(*) FROM responses GROUP BY 1 ORDER BY 2, 1")
                assert [count for _, count in connection.execute(lying)] == [1, 1, 1, 2]
                assert connection.scalar(text("SELECT response_id FROM responses_rest")) == "r1"
        downgrade(engine, "0003")


def test_down_and_up_again_the_keys_of_users_are_read_anew(engine: Engine, url: str) -> None:
    migrate(engine)
    keys, key = SqlUserKeys(connect(url), "kafka", USER_KEYS), WrappedKey("k1", "u1", b"wrapped")
    keys.advance(0, 5, [key], ())
    keys.close()
    downgrade(engine, "0003")
    migrate(engine)
    keys = SqlUserKeys(connect(url), "kafka", USER_KEYS)
    assert (keys.position(), keys.find(["k1"])) == (0, {})
    keys.advance(0, 5, [key], ())
    assert keys.find(["k1"]) == {"k1": b"wrapped"}
    keys.close()


def test_head_is_the_newest_migration_that_ships() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_many_may_migrate_at_once(url: str) -> None:
    failures: list[Exception] = []

    def start() -> None:
        engine = connect(url)
        try:
            migrate(engine)
            check(engine)
        except SchemaMismatch as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_unmigrated_database_is_refused_with_the_cure(engine: Engine) -> None:
    with pytest.raises(SchemaMismatch, match="schema none, this version needs .*the next start"):
        check(engine)


def test_a_database_of_a_newer_version_is_refused_with_the_cure(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (migrate, check):
        with pytest.raises(SchemaMismatch, match="9999, newer than .*install the version that wrote it"):
            refuse(engine)
    assert tables(engine) == set(metadata.tables)


def test_a_migration_that_fails_leaves_the_database_as_it_was(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("half way")

    with monkeypatch.context() as broken:
        broken.setattr(Operations, "execute", fail)  # after the tables are made, before the first rows
        with pytest.raises(RuntimeError, match="half way"):
            migrate(engine)
    assert (current(engine), tables(engine)) == (EMPTY, set())
    migrate(engine)
    assert tables(engine) == set(metadata.tables)


def test_a_refusal_is_all_that_is_said(engine: Engine, url: str) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    start = (
        "import logging, sys\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "from thumbwheel.database.engine import connect\n"
        "from thumbwheel.database.migrate import migrate\n"
        "from thumbwheel.errors import SchemaMismatch\n"
        "try: migrate(connect(sys.argv[1]))\n"
        "except SchemaMismatch: print('refused')\n"
    )
    arguments = [sys.executable, "-c", start, url]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")
