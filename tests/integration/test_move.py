"""A home that was used moves onto PostgreSQL and another store of files, or Kafka too, whole, and is served there."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from answered import answer_and_vote
from artifact_stores import s3_settings
from commands import RunningCommand, write_config
from kafka_server import KafkaBroker
from live_service import make_policies
from postgres_server import PASSWORD
from s3_server import S3Gateway
from service_ledger import (
    FREE_PORTS,
    Acknowledged,
    ask_and_vote,
    demand_balance,
    wait_until_ingested,
    wait_until_serving,
)
from sqlalchemy import Engine, insert, select

from thumbwheel.app import moving
from thumbwheel.app.home import Home
from thumbwheel.app.moving import move
from thumbwheel.app.storage import open_registry, open_source
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import FEEDBACK, REQUESTS, TOPICS
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.source import CONSUMER, Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.client import AsyncClient
from thumbwheel.client.answers import Classification
from thumbwheel.config.settings import Artifacts, Database, Kafka, Log, Settings
from thumbwheel.database import copying
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import EMPTY, downgrade
from thumbwheel.database.schema import audit, leases, metadata, versions
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import AlreadyMoved, Conflict, DamagedArtifact, HomeInUse, Unavailable
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.simulate.service import ServiceProcess, run_command
from thumbwheel.store.sql import open_store

CHILD = Path(__file__).with_name("killed_child.py")
SECRET = "my name is Ann and I live at the mill"
VOTES = 2_500  # more than a batch


def quietly(_: str) -> copying.Told:
    return lambda done, total: None


@pytest.fixture
def source(tmp_path: Path) -> Settings:
    """A home with a version, its champion, and `VOTES` answers with a vote each."""
    settings = Settings(home=tmp_path / "home")
    registry = open_registry(settings)
    (tmp_path / "volume").mkdir()
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    version = registry.publish(NewVersion("p", PolicyKind.CLASSIFY), model).version
    registry.move("p", Channel.CHAMPION, version, actor="test", reason="first")
    registry.close()
    log, store = open_log(settings.log_path), open_store(settings.database_url)
    log.append([to_log(record) for number in range(VOTES) for record in answer_and_vote(number)])
    IngestWorker(Source(log), store, settings.ingest).drain()
    store.close()
    log.close()
    return settings


@pytest.fixture
def target(source: Settings, postgres_url: str, tmp_path: Path) -> Settings:
    return source.model_copy(
        update={
            "database": database_of(postgres_url, tmp_path),
            "artifacts": Artifacts(url=f"file://{tmp_path}/volume"),
        }
    )


def database_of(url: str, folder: Path) -> Database:
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    return Database(url=url.replace(f":{PASSWORD}@", "@"), password_file=password)


@contextmanager
def database(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        yield engine
    finally:
        engine.dispose()


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, without the versions' places."""
    found = {}
    with database(url) as engine, reading(engine) as connection:
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if column is not versions.c.location]
            found[table.name] = sorted((tuple(row) for row in connection.execute(select(*columns))), key=repr)
    return found


def test_everything_is_there_and_the_old_database_is_set_aside(source: Settings, target: Settings) -> None:
    before = rows(source.database_url)
    assert len(before["current_votes"]) == VOTES
    done = move(source, target, quietly)
    assert rows(target.database_url) == before
    assert (done.versions, done.rows) == (1, sum(len(found) for found in before.values()))
    assert done.set_aside == source.home / "store.sqlite.moved"
    assert not (source.home / "store.sqlite").exists()
    assert rows(f"sqlite:///{done.set_aside}") == before
    registry = open_registry(target)
    folder = registry.fetch("p", registry.channels("p")[Channel.CHAMPION])
    registry.close()
    assert folder.is_relative_to(target.home.parent / "volume")
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_what_the_database_numbers_goes_on_after_the_last(source: Settings, target: Settings) -> None:
    entry = {"time_us": 1, "action": "a", "policy": "p", "subject": "", "actor": "", "reason": ""}
    with database(source.database_url) as engine, writing(engine) as connection:
        connection.execute(insert(audit), [entry] * 3)
    move(source, target, quietly)
    with database(target.database_url) as engine, writing(engine) as connection:
        connection.execute(insert(audit).values(entry))
        assert list(connection.scalars(select(audit.c.id).order_by(audit.c.id))) == [1, 2, 3, 4]


def test_only_the_files_may_move(source: Settings, tmp_path: Path) -> None:
    target = source.model_copy(update={"artifacts": Artifacts(url=f"file://{tmp_path}/volume")})
    before = rows(source.database_url)
    assert move(source, target, quietly).set_aside is None
    assert rows(target.database_url) == before
    registry = open_registry(target)
    assert registry.fetch("p", "v1").is_relative_to(tmp_path / "volume")
    registry.close()


def test_a_lease_stays_with_who_held_it(source: Settings, target: Settings) -> None:
    with database(source.database_url) as engine, writing(engine) as connection:
        connection.execute(insert(leases).values(policy="p", holder="me", fence=7, expires_us=2**60))
    move(source, target, quietly)
    assert rows(target.database_url)["leases"] == []


def test_killed_before_the_rows_are_there_it_begins_anew_and_after_them_only_sets_aside(
    source: Settings, target: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(done: int, total: int) -> None:
        if done > 1_000:
            raise KeyboardInterrupt

    before = rows(source.database_url)
    with pytest.raises(KeyboardInterrupt):
        move(source, target, lambda what: killed)
    assert rows(source.database_url) == before
    with monkeypatch.context() as patched:
        patched.setattr("thumbwheel.app.moving._set_aside", lambda settings: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            move(source, target, quietly)
    assert (source.home / "store.sqlite").exists()
    stages: list[str] = []
    done = move(source, target, lambda what: stages.append(what) or quietly(what))  # type: ignore[func-returns-value]
    assert stages == []
    assert done.set_aside is not None and done.set_aside.exists()
    assert rows(target.database_url) == before


def test_what_must_not_be_moved_stays(source: Settings, target: Settings, tmp_path: Path) -> None:
    before = rows(source.database_url)
    with pytest.raises(Conflict, match="nothing to move"):
        move(source, source, quietly)
    with pytest.raises(Conflict, match="home: moving leaves the home"):
        move(source, target.model_copy(update={"home": tmp_path / "other"}), quietly)
    with Home(source.home), pytest.raises(HomeInUse):
        move(source, target, quietly)
    other = open_registry(target.model_copy(update={"artifacts": Artifacts()}))
    (tmp_path / "model" / "config.json").write_text('{"other": 1}')
    other.publish(NewVersion("other", PolicyKind.CLASSIFY), tmp_path / "model")
    other.close()
    with pytest.raises(Conflict, match="versions already"):
        move(source, target, quietly)
    assert rows(source.database_url) == before


def killed_service(home: Path, text: str) -> None:
    """Leave what a killed service leaves: rows that it stored are in no file but the `-wal` one."""
    support = Path(answer_and_vote.__code__.co_filename).parent
    paths = os.pathsep.join([str(support), *sys.path])
    done = subprocess.run([sys.executable, str(CHILD), str(home), text], env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == -signal.SIGKILL
    assert text.encode() in (home / "store.sqlite-wal").read_bytes()
    assert text.encode() not in (home / "store.sqlite").read_bytes()


def test_after_a_kill_the_old_database_is_set_aside_whole_and_nothing_stays_beside_it(
    source: Settings, target: Settings
) -> None:
    killed_service(source.home, SECRET)
    move(source, target, quietly)
    assert [row[0] for row in rows(target.database_url)["responses"] if SECRET in repr(row)] == ["of-the-killed"]
    left = sorted(file.name for file in source.home.glob("store.sqlite*"))
    assert left == ["store.sqlite.moved"]
    assert rows(f"sqlite:///{source.home}/store.sqlite.moved") == rows(target.database_url)


def test_while_another_process_reads_the_old_database_it_is_not_set_aside_in_part(
    source: Settings, target: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_service(source.home, SECRET)
    monkeypatch.setattr(moving, "_BUSY_S", 0.1)
    with closing(sqlite3.connect(source.home / "store.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM responses").fetchall()
        with pytest.raises(AlreadyMoved, match=r"everything is moved, but .*store\.sqlite can not be set aside yet"):
            move(source, target, quietly)
    assert (source.home / "store.sqlite").exists() and not (source.home / "store.sqlite.moved").exists()
    done = move(source, target, quietly)
    assert rows(f"sqlite:///{done.set_aside}") == rows(target.database_url)


def test_what_was_moved_is_not_moved_again_as_if_it_were_empty(source: Settings, target: Settings) -> None:
    before = rows(source.database_url)
    aside = move(source, target, quietly).set_aside
    with pytest.raises(AlreadyMoved, match=r"the old one is .*/store\.sqlite\.moved; go on with"):
        move(source, target, quietly)
    assert rows(target.database_url) == before
    with database(target.database_url) as engine:  # never used, as another would be
        downgrade(engine, EMPTY)
    with pytest.raises(AlreadyMoved):
        move(source, target, quietly)
    assert not (source.home / "store.sqlite").exists()
    assert rows(f"sqlite:///{aside}") == before


def test_a_database_that_was_set_aside_before_is_not_overwritten(source: Settings, target: Settings) -> None:
    before = rows(source.database_url)
    (source.home / "store.sqlite.moved").write_bytes(b"all that a former service had")
    with pytest.raises(Conflict, match=r"store\.sqlite\.moved is the database of before an earlier move"):
        move(source, target, quietly)
    assert (source.home / "store.sqlite.moved").read_bytes() == b"all that a former service had"
    assert rows(source.database_url) == before


def test_a_home_that_never_had_a_database_gets_none(source: Settings, target: Settings, tmp_path: Path) -> None:
    mistyped, there = (one.model_copy(update={"home": tmp_path / "mistyped"}) for one in (source, target))
    with pytest.raises(Conflict, match=r"mistyped has no store\.sqlite, so there is nothing to move"):
        move(mistyped, there, quietly)
    assert not (tmp_path / "mistyped" / "store.sqlite").exists()


def test_a_damaged_version_moves_nothing(source: Settings, target: Settings) -> None:
    [weights] = source.versions_dir.rglob("model.safetensors")
    weights.write_bytes(b"Weights")
    with pytest.raises(DamagedArtifact):
        move(source, target, quietly)
    assert rows(target.database_url)["responses"] == []
    assert (source.home / "store.sqlite").exists()


def test_a_database_that_is_away_moves_nothing(source: Settings, target: Settings) -> None:
    nobody = target.model_copy(update={"database": Database(url="postgresql+psycopg://me@127.0.0.1:1/none")})
    with pytest.raises(Unavailable):
        move(source, nobody, quietly)
    assert (source.home / "store.sqlite").exists()


def test_a_home_does_not_leave_kafka_before_all_of_it_is_ingested(
    source: Settings, target: Settings, kafka_broker: KafkaBroker
) -> None:
    servers, prefix = kafka_broker.bootstrap, f"{uuid.uuid4()}."
    kafka = Kafka(bootstrap_servers=servers, topic_prefix=prefix, partitions=2, replication=1)
    there = target.model_copy(update={"log": Log(kind="kafka"), "kafka": kafka})
    load_or_make_keys(there.keys_path, 1)
    create_topics(kafka)
    move(source, there, quietly)
    acknowledged = [to_log(record) for number in range(3) for record in answer_and_vote(number, f"late-{number}")]
    with ExitStack() as stack:
        loop, store = open_source(there, stack), stack.enter_context(closing(open_store(there.database_url)))
        assert loop.outbox is not None
        loop.log.append(acknowledged[:4])
        loop.outbox.append(acknowledged[4:])
        with pytest.raises(Conflict, match=r": 6 events that were acknowledged .* run `thumbwheel ingest`"):
            move(there, source, quietly)
        relay = Relay(loop.outbox, loop.log)
        while relay.run_once():  # what the embedded log had goes along, and is in the store
            pass
        with pytest.raises(Conflict, match=rf": {2 * VOTES + 6} events"):
            move(there, source, quietly)
        IngestWorker(loop, store, there.ingest).drain()
    assert not (source.home / "store.sqlite").exists()
    move(there, source, quietly)
    assert {row[0] for row in rows(source.database_url)["responses"]} >= {"late-0", "late-1", "late-2"}


@contextmanager
def ingest_held_up(home: Path) -> Iterator[None]:
    """Let nothing be written into a home's store while the block runs: what is acknowledged stays in its log."""
    with closing(sqlite3.connect(home / "store.sqlite", isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        yield
        store.execute("ROLLBACK")


def pending(home: Path) -> dict[str, int]:
    """How many records of each topic the log has, and the store has not."""
    settings = Settings(home=home)
    with closing(open_log(settings.log_path)) as log, closing(open_store(settings.database_url)) as store:
        return {topic: log.end_offset(topic, 0) - store.offset(CONSUMER, topic, 0) for topic in TOPICS}


async def unrated_answers(target: str, count: int) -> list[Classification[Awaitable[str]]]:
    async with AsyncClient(target) as client:
        return [await client.classify("where is my parcel", "topics", user="late") for _ in range(count)]


async def rate(target: str, answers: Sequence[Classification[Awaitable[str]]], told: Acknowledged) -> None:
    """Vote on answers of before at another door, by the tokens that came with them."""
    async with AsyncClient(target) as client:
        for one in answers:
            told.votes.append(await client.ballot(one.response_id, one.receipt.token, "late").thumbs_down())
            told.answers.append(one.response_id)


@pytest.mark.slow
def test_a_running_home_goes_on_as_processes_on_kafka_postgresql_and_s3(
    tmp_path: Path, postgres_url: str, kafka_broker: KafkaBroker, s3_gateway: S3Gateway
) -> None:
    home, told = tmp_path / "home", Acknowledged()
    home.mkdir()
    make_policies(Settings(home=home))
    with ServiceProcess(home, FREE_PORTS) as service:
        target = service.addresses["grpc"]
        asyncio.run(wait_until_serving(target))
        asyncio.run(ask_and_vote(target, told, 40))
        assert wait_until_ingested(service.addresses["admin"]) == 0
        with ingest_held_up(home):
            unrated = asyncio.run(unrated_answers(target, 5))
            asyncio.run(ask_and_vote(target, told, 40, service.kill))
    waiting = pending(home)
    assert waiting[FEEDBACK] >= 40 and waiting[REQUESTS] >= 45
    scaled = scaled_config(tmp_path, postgres_url, kafka_broker, s3_gateway)
    assert "moved: 4 versions" in "\n".join(run_command(home, "move", "--to", str(scaled)))
    with (
        RunningCommand(scaled, "--home", str(home), "serve") as serve,
        RunningCommand(scaled, "--home", str(home), "ingest"),
    ):
        asyncio.run(wait_until_serving(serve.address("gRPC")))
        asyncio.run(rate(serve.address("gRPC"), unrated, told))
        asyncio.run(ask_and_vote(serve.address("gRPC"), told, 40))
        assert wait_until_ingested(serve.address("operators")) == 0
    assert len(told.votes) >= 125
    with database(postgres_url) as books:
        demand_balance(books, told)
        with reading(books) as connection:
            assert set(connection.scalars(select(versions.c.policy))) == {"topics", "helpdesk"}
    assert any(
        (home / "cache" / "versions").rglob("*.safetensors")
    )  # served from the new store, not from the old files


def scaled_config(folder: Path, postgres_url: str, broker: KafkaBroker, gateway: S3Gateway) -> Path:
    place, store = database_of(postgres_url, folder), s3_settings(gateway)
    sections: dict[str, dict[str, object]] = {
        "database": {"url": place.url, "password_file": place.password_file},
        "artifacts": {"url": store.url, "endpoint_url": store.endpoint_url},
        "log": {"kind": "kafka"},
        "kafka": {
            "bootstrap_servers": broker.bootstrap,
            "topic_prefix": f"{uuid.uuid4()}.",
            "partitions": 3,
            "replication": 1,
        },
        "serve": {"port": 0, "admin_port": 0},
        "probes": {"serve_port": 0, "ingest_port": 0},
    }
    return write_config(folder / "scaled.toml", sections)


@pytest.mark.slow
def test_a_service_goes_on_where_it_was_moved(tmp_path: Path, postgres_url: str) -> None:
    home, told = tmp_path / "home", Acknowledged()
    home.mkdir()
    make_policies(Settings(home=home))
    with ServiceProcess(home, FREE_PORTS) as service:
        asyncio.run(wait_until_serving(service.addresses["grpc"]))
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 40, service.kill))
    place = database_of(postgres_url, tmp_path)
    scaled = tmp_path / "scaled.toml"
    scaled.write_text(f'[database]\nurl = "{place.url}"\npassword_file = "{place.password_file}"\n')
    assert "moved: 4 versions" in "\n".join(run_command(home, "move", "--to", str(scaled)))
    flags = {**FREE_PORTS, "database.url": place.url, "database.password_file": place.password_file}
    with ServiceProcess(home, flags) as service:
        asyncio.run(wait_until_serving(service.addresses["grpc"]))
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 40))
        assert wait_until_ingested(service.addresses["admin"]) == 0
    stored = rows(postgres_url)
    votes = {row[3] for row in stored["feedback_events"]}
    assert set(told.votes) <= votes
    assert len(stored["current_votes"]) == len(stored["feedback_events"]) == len(votes)
    assert set(told.answers) <= {row[0] for row in stored["responses"]}
