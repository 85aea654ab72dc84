"""Backup, loss, restore: what was acknowledged is there, each once, and who was erased stays away."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import stat
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from answered import answer_and_vote
from kafka_server import KafkaBroker
from postgres_server import PASSWORD, PostgresServer

from thumbwheel.admin.erasure import Eraser
from thumbwheel.app import backup
from thumbwheel.app.backup import MANIFEST, back_up, read_backup
from thumbwheel.app.learning import RunCopies
from thumbwheel.app.restore import restore
from thumbwheel.app.storage import open_registry, open_source
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.source import Source
from thumbwheel.cli.main import main
from thumbwheel.config.settings import Ingest, Settings
from thumbwheel.errors import Conflict, DamagedArtifact
from thumbwheel.feedback.keys import load_keys, load_or_make_keys
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.raters import Raters
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")


def embedded(home: Path) -> Settings:
    made = Settings(home=home)
    home.mkdir(mode=0o700)
    load_or_make_keys(made.keys_path, 1)
    return made


def publish(settings: Settings) -> None:
    folder = settings.home / "new"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    with closing(open_registry(settings)) as registry:
        made = registry.publish(NewVersion("p", PolicyKind.CLASSIFY), folder)
        registry.move("p", Channel.CHAMPION, made.version, actor="ann", reason="first")


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Source, FeedbackStore]]:
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        yield open_source(settings, stack), store


def say(source: Source, numbers: range, user: str = "u") -> list[str]:
    """Append answers with votes as the doors do; return what was acknowledged."""
    log = source.outbox or source.log
    acknowledged = []
    for number in numbers:
        answer, vote = answer_and_vote(number, user=user, text=f"words of {user}")
        log.append([to_log(answer), to_log(vote)])
        acknowledged.append(vote.feedback_id)
    return acknowledged


def move(source: Source, store: FeedbackStore) -> None:
    if source.outbox is not None:
        relay = Relay(source.outbox, source.log)
        while relay.run_once():
            pass
    IngestWorker(source, store, Ingest()).drain()


def votes(settings: Settings) -> list[str]:
    """The ids of all votes in the store."""
    with opened(settings) as (_, store):
        return sorted(vote.feedback_id for one in store.rated("p", store.watermark()) for vote in one.votes)


# --- embedded -----------------------------------------------------------------------------------------------


def test_a_home_comes_back_as_it_was(tmp_path: Path) -> None:
    settings = embedded(tmp_path / "home")
    publish(settings)
    config = settings.home / "thumbwheel.toml"
    config.write_text("[serve]\n")
    with opened(settings) as (source, store):
        acknowledged = say(source, range(50))
        move(source, store)
        acknowledged += say(source, range(50, 60))  # in the log only
    made = back_up(settings, tmp_path / "backup", config)
    assert [(one.version, one.problem) for one in made.versions] == [("v1", "")]
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("backup")} == {0o700}
    keys = settings.keys_path.read_bytes()
    shutil.rmtree(settings.home)
    done = restore(settings, tmp_path / "backup")
    assert (done.records, done.erased, done.damaged) == (20, 0, ())
    assert votes(settings) == sorted(acknowledged)
    assert settings.keys_path.read_bytes() == keys
    assert stat.S_IMODE(settings.keys_path.stat().st_mode) == 0o600
    assert config.read_text() == "[serve]\n"
    with closing(open_registry(settings)) as registry:
        assert registry.channels("p") == {Channel.CHAMPION: "v1"}
        assert (registry.fetch("p", "v1") / "model.safetensors").read_bytes() == bytes(range(256))
    with opened(settings) as (source, store):
        acknowledged += say(source, range(60, 70))
        move(source, store)
    assert votes(settings) == sorted(acknowledged)


def test_what_is_acknowledged_before_a_backup_under_way_is_in_it(tmp_path: Path) -> None:
    settings = embedded(tmp_path / "home")
    acknowledged: list[str] = []
    with opened(settings) as (source, store):
        stop = threading.Event()

        def work() -> None:
            number = 0
            while not stop.is_set():
                acknowledged.extend(say(source, range(number, number + 5)))
                number += 5
                IngestWorker(source, store, Ingest(batch=7)).drain()
                source.log.trim("thumbwheel.feedback", 0, store.offset("ingest", "thumbwheel.feedback", 0))

        working = threading.Thread(target=work)
        working.start()
        for number in range(3):
            while len(acknowledged) < 50 * (number + 1):
                pass
            before = list(acknowledged)
            back_up(settings, tmp_path / f"backup-{number}")
            elsewhere = Settings(home=tmp_path / f"home-{number}")
            restore(elsewhere, tmp_path / f"backup-{number}")
            found = votes(elsewhere)
            assert set(before) <= set(found)
            assert len(found) == len(set(found))
        stop.set()
        working.join()


@pytest.mark.parametrize("damage", ["altered", "missing", "no manifest", "other format"])
def test_a_damaged_backup_is_refused_before_anything_is_done(tmp_path: Path, damage: str) -> None:
    settings = embedded(tmp_path / "home")
    publish(settings)
    folder = tmp_path / "backup"
    back_up(settings, folder)
    if damage == "altered":
        with (folder / "store.sqlite").open("ab") as file:
            file.write(b"x")
    elif damage == "missing":
        next(folder.rglob("model.safetensors")).unlink()
    elif damage == "no manifest":
        (folder / MANIFEST).unlink()
    else:
        content = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**content, "format": 9}))
    elsewhere = Settings(home=tmp_path / "elsewhere")
    with pytest.raises((DamagedArtifact, Conflict)):
        restore(elsewhere, folder)
    assert not elsewhere.home.exists()


def test_of_a_backup_that_was_interrupted_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = embedded(tmp_path / "home")
    publish(settings)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        back_up(settings, tmp_path / "backup")
    assert [one.name for one in tmp_path.iterdir()] == ["home"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    settings = embedded(tmp_path / "home")
    back = tmp_path / "backup"
    publish(settings)
    back_up(settings, back)
    with pytest.raises(Conflict, match="is there already"):
        back_up(settings, back)
    with pytest.raises(Conflict, match="store.sqlite is there"):
        restore(settings, back)
    with pytest.raises(Conflict, match=r"keys.json is not the backup's"):
        restore(embedded(tmp_path / "other"), back)


def test_a_version_that_is_not_whole_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = embedded(tmp_path / "home")
    publish(settings)
    next(settings.versions_dir.rglob("model.safetensors")).write_bytes(b"altered")
    for name, words in (("backup", [str(tmp_path / "b")]), ("restore", [str(tmp_path / "b")])):
        home = settings.home if name == "backup" else tmp_path / "elsewhere"
        monkeypatch.setattr(sys, "argv", ["thumbwheel", "--home", str(home), name, *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
    said = capsys.readouterr()
    assert "0 whole versions" in said.out
    assert said.err.count("v1 ") == 2


# --- PostgreSQL and Kafka -----------------------------------------------------------------------------------


@pytest.fixture
def scaled(kafka_broker: KafkaBroker, postgres: PostgresServer, tmp_path: Path) -> Iterator[Settings]:
    """A home on Kafka, without a database."""
    kafka = {
        "bootstrap_servers": kafka_broker.bootstrap,
        "topic_prefix": f"{uuid.uuid4()}.",
        "partitions": 3,
        "replication": 1,
    }
    made = Settings.model_validate({"home": tmp_path / "home", "log": {"kind": "kafka"}, "kafka": kafka})
    create_topics(made.kafka)
    yield made
    gc.collect()


def on(settings: Settings, url: str, home: Path) -> Settings:
    """The same on a database, its password in a file."""
    home.mkdir(exist_ok=True)
    file = home.with_name(f"{home.name}.password")
    file.write_text(PASSWORD)
    changed = {"database": {"url": url.replace(f":{PASSWORD}", ""), "password_file": file}, "home": home}
    return Settings.model_validate({**settings.model_dump(), **changed})


def erase(settings: Settings, user_id: str) -> None:
    with opened(settings) as (source, store):
        raters = Raters(load_keys(settings.keys_path).user_key)
        eraser = Eraser(raters, IngestProgress(store, source, 5.0), source, store, RunCopies(settings.runs_dir))
        asyncio.run(eraser.erase(user_id, "ann", "asked for"))


def test_with_kafka_everything_acknowledged_comes_back_but_who_was_erased(
    scaled: Settings, postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.database() as url, postgres.database(empty=True) as fresh:
        settings = on(scaled, url, tmp_path / "home")
        load_or_make_keys(settings.keys_path, 1)
        publish(settings)
        with opened(settings) as (source, store):
            raters = Raters(load_keys(settings.keys_path).user_key)
            alice, bob = raters.user_hash("alice"), raters.user_hash("bob")
            say(source, range(20), alice)
            acknowledged = say(source, range(20, 50), bob)
            move(source, store)
            say(source, range(50, 55), alice)  # waits in the outbox, and is in its copy
            acknowledged += say(source, range(55, 60), bob)
        made = back_up(settings, tmp_path / "backup")
        assert {"store.dump", "log.sqlite", "keys.json"} <= made.files.keys()
        with opened(settings) as (source, store):
            acknowledged += say(source, range(60, 100), bob)
            move(source, store)
        erase(settings, "alice")
        with opened(settings) as (source, store):
            acknowledged += say(source, range(100, 110), bob)
            move(source, store)
        assert votes(settings) == sorted(acknowledged)
        shutil.rmtree(settings.home)
        elsewhere = on(scaled, fresh, tmp_path / "elsewhere")
        done = restore(elsewhere, tmp_path / "backup")
        assert (done.erased, done.damaged) == (1, ())
        assert votes(elsewhere) == sorted(acknowledged)
        with opened(elsewhere) as (source, store):
            assert store.answers_concerning(alice) == []
            acknowledged += say(source, range(110, 120), bob)
            move(source, store)
        assert votes(elsewhere) == sorted(acknowledged)
        for path in (*elsewhere.home.rglob("*"), *postgres.files(fresh)):
            assert not path.is_file() or f"words of {alice}".encode() not in path.read_bytes()
        with pytest.raises(Conflict, match="the database has tables"):
            restore(elsewhere, tmp_path / "backup")


def test_without_the_client_programs_it_says_what_to_install(
    scaled: Settings, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database() as url:
        settings = on(scaled, url, tmp_path / "home")
        load_or_make_keys(settings.keys_path, 1)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Conflict, match="pg_dump is not on the PATH; install"):
            back_up(settings, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()


def test_a_backup_of_the_other_kind_of_database_is_refused(
    scaled: Settings, postgres: PostgresServer, tmp_path: Path
) -> None:
    settings = embedded(tmp_path / "small")
    publish(settings)
    back_up(settings, tmp_path / "backup")
    read_backup(tmp_path / "backup")
    with postgres.database(empty=True) as url, pytest.raises(Conflict, match=r"has no store\.dump"):
        restore(on(scaled, url, tmp_path / "home"), tmp_path / "backup")
