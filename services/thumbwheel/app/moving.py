"""A home's versions, votes and books, moved to another database and another store of files.

1. Every version's files are checked, sent to the new store, and sealed there.
2. All rows are copied in one transaction, the versions' with their new places.
3. The old database's file, with what its side files hold, is set aside under another name, so that nobody goes on in
   it by mistake.

What the embedded event log holds stays where it is, in the home: where `log.kind` becomes `kafka` it is the outbox, and
the next service ships it. What Kafka holds stays there: who leaves it has everything ingested before.

Killed before the end of 2, a second try begins anew; killed after it, only 3 is left to be done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, select, update

from thumbwheel.app.home import Home
from thumbwheel.app.moved import database_file, demand_not_moved, set_aside_in
from thumbwheel.app.outboxes import replicas_dir, unshipped
from thumbwheel.app.storage import kafka_consumer, open_kafka
from thumbwheel.bus.source import CONSUMER, Source, places
from thumbwheel.bus.sqlite_log import look_into
from thumbwheel.config.settings import Settings
from thumbwheel.database.copying import Row, Told, copy_rows, count_rows, is_copy, relocated
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.database.schema import responses, versions
from thumbwheel.database.transactions import reading, translated, writing
from thumbwheel.errors import AlreadyMoved, Conflict, Unavailable
from thumbwheel.ingest.backlog import unread
from thumbwheel.records import Manifest
from thumbwheel.registry import manifest
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.artifacts.port import Artifacts, Upload
from thumbwheel.registry.files import version_files
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.room import Room
from thumbwheel.store.sql import open_store

_BUSY_S = 10.0
_SIDE_FILES = ("-wal", "-shm")
Stage = Callable[[str], Told]


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved. `set_aside` is the old database's file under its new name, None where it is no file."""

    versions: int
    rows: int
    set_aside: Path | None


def move(source: Settings, target: Settings, stage: Stage) -> Moved:
    """Move what `source` has to where `target` says. `stage` is told what begins, and returns what hears how far it is.

    Raises:
        Conflict: the configurations name the same places, the target's database has been used, a service runs, a
            database that was set aside before would be overwritten, or events in the Kafka that the target leaves are
            not in the store. Nothing was moved.
        AlreadyMoved: an earlier move has moved it; or this one has, and the old database can't be set aside yet.
        DamagedArtifact: a version's files are not what they were. Nothing was moved.
        Unavailable: a part is away. Nothing was moved.
    """
    new_files = source.artifacts.url != target.artifacts.url
    new_database = source.database_url != target.database_url
    if source.home != target.home:
        raise Conflict("home: moving leaves the home where it is; copy its folder while no service runs on it")
    if not new_files and not new_database:
        said = "database.url, artifacts.url: both stay what they are, there is nothing to move"
        raise Conflict(f"{said}; let --to name a file that changes one")
    with Home(source.home):
        _demand_movable(source, new_database)
        _demand_ingested(source, target)
        with _engine(source.database_url) as old, _engine(target.database_url) as new:
            rows = count_rows(old)
            if not (new_database and is_copy(old, new)):
                places = _send_files(old, open_artifacts(source), open_artifacts(target), stage) if new_files else {}
                rows = _copy(old, new, places, stage) if new_database else _relocate(old, places)
            count = _count_versions(old)
        return Moved(count, rows, _set_aside(source) if new_database else None)


def _demand_movable(source: Settings, new_database: bool) -> None:
    """Raise AlreadyMoved or Conflict where the home has no database, or none that could be set aside."""
    demand_not_moved(source)
    if source.database.url:
        return
    if not database_file(source.home).exists():
        raise Conflict(f"home: {source.home} has no store.sqlite, so there is nothing to move; choose it with --home")
    if new_database and (aside := set_aside_in(source.home)).exists():
        raise Conflict(
            f"{aside} is the database of before an earlier move, and is not overwritten; put it elsewhere, or remove "
            "it if you are sure that nothing of it is missing where it was moved to"
        )


def _demand_ingested(source: Settings, target: Settings) -> None:
    """Raise Conflict where the target leaves the source's Kafka and nobody would read what the store has not yet."""
    if not source.log.is_shared or _log_of(source) == _log_of(target):
        return
    with closing(open_kafka(source)) as log, closing(open_store(source.database_url)) as store:
        left = unread(Source(log, kafka_consumer(source)), store) + _in_outboxes(source, store)
    if left:
        raise Conflict(
            f"log.kind, kafka: {left} events that were acknowledged are still on their way through Kafka into the "
            "store, and would stay behind; run `thumbwheel ingest` (with `serve`, where an outbox holds some; or `up`) "
            "with the configuration of before until `thumbwheel status` tells of none, stop it, and move again"
        )


def _in_outboxes(source: Settings, store: FeedbackStore) -> int:
    """Return how many events wait in the home's outboxes, but for those ingested when its own was the embedded log."""
    left = unshipped(replicas_dir(source))
    if source.log_path.exists():
        with closing(look_into(source.log_path)) as outbox:
            for topic, partition in places(outbox):
                for first in outbox.read(topic, partition, 0, 1):
                    begin = max(first.offset, store.offset(CONSUMER, topic, partition))
                    left += max(0, outbox.end_offset(topic, partition) - begin)
    return left


def _log_of(settings: Settings) -> tuple[str, ...]:
    """What tells one event log of a home from another; the same cluster under another address counts as another."""
    kafka = settings.kafka
    return (settings.log.kind, *((kafka.bootstrap_servers, kafka.topic_prefix) if settings.log.is_shared else ()))


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


def _send_files(old: Engine, here: Artifacts, there: Artifacts, stage: Stage) -> dict[tuple[str, str], str]:
    """Send every version's files; return its new place by (policy, version)."""
    there.check()
    with reading(old) as connection:
        rows = connection.execute(select(versions).order_by(versions.c.created_us)).mappings().all()
    told, sent = stage("files of versions"), list[tuple[Manifest, Upload]]()
    try:
        for row in rows:
            version = manifest.from_json(row["manifest"])
            folder = here.fetch(row["location"], version)
            sent.append((version, there.upload(version.policy, folder, version_files(folder))))
            if dict(sent[-1][1].digests) != dict(version.files):
                said = f"{version.policy} {version.version}: its files changed while they were sent"
                raise Conflict(f"{said}; leave them alone, and move again")
            told(len(sent), len(rows))
        return {(version.policy, version.version): upload.seal(version) for version, upload in sent}
    except BaseException:
        for _, upload in sent:
            upload.discard()
        raise


def _copy(old: Engine, new: Engine, places: dict[tuple[str, str], str], stage: Stage) -> int:
    room = Room()

    def prepare(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        if table is responses:
            room.make(connection, (row["response_id"] for row in rows))

    return copy_rows(old, new, relocated(places), prepare, stage("rows"))


def _relocate(database: Engine, places: dict[tuple[str, str], str]) -> int:
    with writing(database) as connection:
        for (policy, version), place in places.items():
            mine = (versions.c.policy == policy) & (versions.c.version == version)
            connection.execute(update(versions).where(mine).values(location=place))
    return len(places)


def _count_versions(database: Engine) -> int:
    with reading(database) as connection:
        return len(connection.execute(select(versions.c.version)).all())


def _set_aside(settings: Settings) -> Path | None:
    """Rename the old database's file, if it is one; nobody of ours has it open any more.

    A service that was killed has left rows beside it, in the `-wal` file. They are brought into it first: under its new
    name nobody would look for them, and they hold texts of users.
    """
    if settings.database.url:
        return None
    file, aside = database_file(settings.home), set_aside_in(settings.home)
    try:
        _bring_in_side_files(file)
    except Unavailable as error:
        said = f"everything is moved, but {file} can not be set aside yet ({error}); move again: only that is left"
        raise AlreadyMoved(said) from error
    file.rename(aside)
    for suffix in _SIDE_FILES:
        file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
    return aside


def _bring_in_side_files(file: Path) -> None:
    """Empty the `-wal` file into the database. Raises Unavailable."""
    with translated(), closing(sqlite3.connect(file, timeout=_BUSY_S)) as connection:
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise Unavailable("another process reads it; end that", 1.0)
