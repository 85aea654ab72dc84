"""A home and a database from a backup, and with Kafka what came after it: every acknowledged event, each once."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from thumbwheel.app.backup import KEYS, LOG, VERSIONS, Backup, VersionState, check_versions, read_backup
from thumbwheel.app.home import Home
from thumbwheel.app.retention import forget_past
from thumbwheel.app.storage import open_registry, open_source
from thumbwheel.bus.port import TOPICS, EventLog
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.source import Source, places
from thumbwheel.config.load import FILE_NAME
from thumbwheel.config.settings import Settings
from thumbwheel.database.copies import copy_name, copy_sqlite, load
from thumbwheel.errors import Conflict
from thumbwheel.events.convert import user_of
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Restored:
    """What is there again. `records` came after the backup, `erased` users were erased since, again.

    `damaged` are the versions whose files are missing or altered.
    """

    backup: Backup
    records: int
    erased: int
    damaged: tuple[VersionState, ...]


def restore(settings: Settings, folder: Path) -> Restored:
    """Restore a backup into an empty database and a home without one, then read on in the log. Nothing may run there.

    Of the home's files those that are there stay. Killed half way, it is begun again with an empty database.

    Raises:
        Conflict: the database is not empty, a service runs on the home, or the home has other keys than the backup.
        DamagedArtifact: a file of the backup is missing or was altered; nothing was restored.
        Unavailable: database or log are away. With the database restored, `catch_up` goes on.
    """
    made = read_backup(folder)
    name = copy_name(settings.database_url)
    if name not in made.files:
        raise Conflict(f"database.url: the backup has no {name}; it is of the other kind of database")
    with Home(settings.home):
        _restore_keys(settings, folder / KEYS)
        load(settings.database_url, folder / name)
        _restore_files(settings, folder)
        records, erased = catch_up(settings)
        with closing(open_registry(settings)) as registry:
            damaged = tuple(one for one in check_versions(registry) if one.problem)
    return Restored(made, records, erased, damaged)


def catch_up(settings: Settings) -> tuple[int, int]:
    """Read what the log has since the backup into the store; return how many records, and of how many erased users.

    Raises Unavailable: to be called again.
    """
    with closing(open_store(settings.database_url)) as store, ExitStack() as stack:
        if settings.store.retention_days:
            forget_past(settings, store)
        source = open_source(settings, stack)
        erased = _erase_again(source, store)
        if source.outbox is not None:
            relay = Relay(source.outbox, source.log)
            while relay.run_once():
                pass
        return IngestWorker(source, store, settings.ingest).drain(), erased


def _erase_again(source: Source, store: FeedbackStore) -> int:
    """Erase those who were erased after the backup was made; return how many they are."""
    if source.sealed is None:
        return 0
    users = source.sealed.removed_users()
    for user_hash in sorted(users):
        if source.outbox is not None:
            source.outbox.erase([*store.answers_concerning(user_hash), *_keys_of(source.outbox, user_hash)])
        store.erase_user(user_hash)
    source.sealed.sync()  # from here on nobody knows of them any more
    return len(users)


def _keys_of(outbox: EventLog, user_hash: str) -> set[str]:
    """Return the keys of the records of a user."""
    found: set[str] = set()
    for place in places(outbox, TOPICS):
        offset = 0
        while records := outbox.read(*place, offset, _PAGE):
            found.update(one.key for one in records if user_of(one.payload) == user_hash)
            offset = records[-1].offset + 1
    return found


def _restore_keys(settings: Settings, kept: Path) -> None:
    if not kept.exists():
        return
    if not settings.keys_path.exists():
        _copy_private(kept, settings.keys_path)
    elif settings.keys_path.read_bytes() != kept.read_bytes():
        raise Conflict(
            f"{settings.keys_path} is not the backup's; move it away, or nobody's votes could be found again"
        )


def _restore_files(settings: Settings, folder: Path) -> None:
    if (folder / LOG).exists() and not settings.log_path.exists():
        copy_sqlite(folder / LOG, settings.log_path)
    if (folder / FILE_NAME).exists() and not (settings.home / FILE_NAME).exists():
        _copy_private(folder / FILE_NAME, settings.home / FILE_NAME)
    kept = folder / VERSIONS
    for source in (path for path in kept.rglob("*") if path.is_file()) if kept.exists() else ():
        target = settings.versions_dir / source.relative_to(kept)
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy_private(source, target)


def _copy_private(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    shutil.copyfile(source, partial)
    partial.replace(target)
