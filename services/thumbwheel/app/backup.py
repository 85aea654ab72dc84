"""A backup: a folder with a consistent copy of the database, the log's file, keys, configuration and versions.

    backup.json      what is in it, with digests; written last
    store.sqlite     the database, or store.dump, pg_dump's custom format
    log.sqlite       the embedded log, or the outbox
    keys.json        the secret keys
    thumbwheel.toml  the configuration file, if there is one
    versions/        the versions' files, where they lie in the home

The log is copied before the database: what ingest moves meanwhile is then in both, and counts once, never in none.
Kafka and an artifact store elsewhere have copies of their own; of versions there the backup says that they were whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from thumbwheel.config.load import FILE_NAME
from thumbwheel.config.settings import Settings
from thumbwheel.database.copies import copy_name, copy_sqlite, dump
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import check
from thumbwheel.durable import sync
from thumbwheel.errors import Conflict, DamagedArtifact, Unavailable
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import Registry
from thumbwheel.registry.sql import SqlRegistry

MANIFEST = "backup.json"
FORMAT = 1
KEYS, LOG, VERSIONS = "keys.json", "log.sqlite", "versions"


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version at the time of the backup; `problem` is empty where every file was as published."""

    policy: str
    version: str
    digest: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup's manifest says. `files` maps names to SHA-256 (hex)."""

    format: int
    service_version: str
    time_us: int
    log_kind: str
    files: dict[str, str]
    versions: tuple[VersionState, ...]


def back_up(settings: Settings, folder: Path, config_file: Path | None = None) -> Backup:
    """Make a backup in a new folder while the service runs or not; the folder is there whole or not at all.

    Raises:
        Conflict: the folder is there already, or pg_dump is missing.
        SchemaMismatch: the database is of another release: its own makes the backup.
        Unavailable: a part is away, or the disk is full.
    """
    if folder.exists():
        raise Conflict(f"{folder} is there already; name a new folder for each backup")
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        made = _fill(settings, partial, config_file)
        for path in (*partial.rglob("*"), partial):
            sync(path)
        partial.rename(folder)
        sync(folder.parent)
    except OSError as error:
        raise Unavailable(f"{partial} can not be written ({error.strerror})", 5.0) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # of one that was interrupted nothing stays: it has users' texts
    return made


def read_backup(folder: Path) -> Backup:
    """Read a backup's manifest, and compare every file with it. Raises DamagedArtifact, Conflict."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        states = tuple(VersionState(**one) for one in content["versions"])
        made = Backup(**{**content, "versions": states})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedArtifact(f"{folder}: {MANIFEST} can not be read; choose another backup") from error
    if made.format != FORMAT:
        raise Conflict(f"{folder}: a backup of format {made.format}; this release reads {FORMAT}")
    found = dict(_digests(folder))
    wrong = sorted(name for name in made.files if found.get(name) != made.files[name])
    if wrong:
        raise DamagedArtifact(f"{folder}: {wrong[0]} is missing or was altered; choose another backup")
    return made


def check_versions(registry: Registry) -> Iterator[VersionState]:
    """Compare every file of every version with its manifest."""
    for policy, _ in registry.policies():
        for one in registry.versions(policy):
            problem = ""
            try:
                registry.fetch(policy, one.version)
            except (DamagedArtifact, Unavailable) as error:
                problem = str(error)
            yield VersionState(policy, one.version, one.digest, problem)


def _fill(settings: Settings, folder: Path, config_file: Path | None) -> Backup:
    if settings.log_path.exists():
        copy_sqlite(settings.log_path, folder / LOG)
    engine = connect(settings.database_url)
    with closing(SqlRegistry(engine, open_artifacts(settings))) as registry:
        check(engine)
        dump(settings.database_url, folder / copy_name(settings.database_url))
        states = tuple(check_versions(registry))
    for source, name in ((settings.keys_path, KEYS), (config_file, FILE_NAME)):
        if source is not None and source.exists():
            shutil.copyfile(source, folder / name)
    if settings.versions_dir.is_dir():
        shutil.copytree(settings.versions_dir, folder / VERSIONS)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    now_us = time.time_ns() // 1_000
    made = Backup(FORMAT, version("thumbwheel"), now_us, settings.log.kind, dict(_digests(folder)), states)
    descriptor = os.open(folder / MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(made), file, indent=1, sort_keys=True)
    return made


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                yield str(path.relative_to(folder)), hashlib.file_digest(file, "sha256").hexdigest()
