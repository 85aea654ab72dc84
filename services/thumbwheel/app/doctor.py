"""Checks of an installation and its home: each says what it found and how to mend it. Nothing stays changed."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from thumbwheel.app.clock_check import ahead_of_postgres_s, judge_clock
from thumbwheel.app.finding import Finding, tried
from thumbwheel.app.home import announced
from thumbwheel.app.moved import set_aside_in
from thumbwheel.app.ray_check import examine_ray
from thumbwheel.app.secrets_check import examine_secrets
from thumbwheel.app.sharing_check import examine_sharing
from thumbwheel.app.trust_check import examine_trust
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import EMPTY
from thumbwheel.database.migrate import check as check_schema
from thumbwheel.database.migrate import current as current_schema
from thumbwheel.feedback.keys import load_keys
from thumbwheel.records import Channel
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import Registry
from thumbwheel.registry.sql import SqlRegistry

_EMPTY = "is empty; `thumbwheel move`, `thumbwheel database upgrade` or the first start makes its tables"
_LEAST_FREE_BYTES = 1 << 30
_LEAST_SQLITE = (3, 35, 0)


def examine(settings: Settings) -> list[Finding]:
    """Check everything that can be checked from here."""
    return [
        *_installation(),
        *_home(settings),
        *_keys(settings),
        *examine_secrets(settings),
        *examine_trust(settings),
        *_artifacts(settings),
        *_database(settings),
        *_set_aside(settings),
        *_log(settings),
        *examine_ray(settings),
        *examine_sharing(settings),
    ]


def _installation() -> Iterator[Finding]:
    for package in ("torch", "transformers", "ray", "grpcio", "protobuf", "kafka-python"):
        yield _package(package)
    # Without it kafka-python computes checksums in Python, at a tenth of the speed.
    yield _package("crc32c")
    recent = sqlite3.sqlite_version_info >= _LEAST_SQLITE
    cure = "" if recent else f"use a Python built with SQLite {'.'.join(map(str, _LEAST_SQLITE))} or newer"
    yield Finding("sqlite", recent, sqlite3.sqlite_version, cure)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "missing", "install Thumbwheel's pinned requirements again")


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    if not _seen(home.is_dir):
        yield _missing_home(home)
        return
    yield _home_mode(home)
    yield _free_space(home, settings)
    running = announced(home)
    yield Finding(
        "service", True, f"runs as process {running.pid}, gRPC at {running.grpc}" if running else "not running"
    )


def _keys(settings: Settings) -> Iterator[Finding]:
    """The key file, where there is one or has to be: in a home `up` makes it."""
    if settings.feedback.keys_file or _seen(settings.keys_path.exists):
        yield tried("keys", lambda: _counted(len(load_keys(settings.keys_path).token_keys), "token key"))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _seen(look: Callable[[], bool]) -> bool:
    """Whether a path is there; what stands in a folder that is closed to us is not."""
    try:
        return look()
    except OSError:
        return False


def _missing_home(home: Path) -> Finding:
    """Whether the first start can make the home: a folder is made where it would be, and removed again."""
    above = next((folder for folder in (home, *home.parents) if _seen(folder.exists)), Path())
    try:
        tempfile.TemporaryDirectory(dir=above).cleanup()
    except OSError as error:
        found = f"{home} can not be made: {above}: {error.strerror}"
        return Finding("home", False, found, "mend its owner or mount, or choose another --home")
    return Finding("home", True, f"{home} is not there yet; the first start makes it")


def _home_mode(home: Path) -> Finding:
    if not os.access(home, os.W_OK):
        return Finding("home", False, f"{home} can not be written", "mend its owner or mount, or choose another --home")
    others = stat.S_IMODE(home.stat().st_mode) & 0o077
    cure = f"chmod 700 {home}" if others else ""
    return Finding("home", not others, f"{home} {'can be read by others' if others else 'is private'}", cure)


def _free_space(home: Path, settings: Settings) -> Finding:
    """Whether the log, or the outbox, finds the room that it may take: what it has of that already is not needed."""
    free, may_grow = shutil.disk_usage(home).free, max(0, settings.log.max_bytes - _size(settings.log_path))
    enough = free >= max(_LEAST_FREE_BYTES, may_grow)
    cure = "" if enough else "free space, or lower log.max_bytes: a full disk makes the service refuse votes"
    return Finding(
        "disk", enough, f"{free / 2**30:.1f} GiB free, the log may take {may_grow / 2**30:.1f} GiB more", cure
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _artifacts(settings: Settings) -> Iterator[Finding]:
    """Whether versions can be written and read elsewhere than in the home: a small object is, and removed again."""
    if settings.artifacts.url:
        yield tried("artifacts", lambda: _written_and_read(settings))


def _written_and_read(settings: Settings) -> str:
    open_artifacts(settings).check()
    return f"{settings.artifacts.url} can be written and read"


def _set_aside(settings: Settings) -> Iterator[Finding]:
    """What a move left behind: of interest to whoever believes that users were erased."""
    if _seen((aside := set_aside_in(settings.home)).exists):
        found = f"{aside} has all texts of before the move; `erase` refuses until it is removed"
        yield Finding("moved", True, found, f"when all is well where it was moved to: rm {aside}", warning=True)


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database.url and not _seen((settings.home / "store.sqlite").exists):
        return  # the first start makes it
    schema = tried("database", lambda: _schema(settings))
    yield schema
    if schema.ok:
        yield from _database_clock(settings)
    if schema.ok and schema.found != _EMPTY:
        yield from _versions(settings)


def _schema(settings: Settings) -> str:
    engine = connect(settings.database_url)
    try:
        if settings.database.url and current_schema(engine) == EMPTY:
            return _EMPTY
        check_schema(engine)
    finally:
        engine.dispose()
    return "schema is current"


def _database_clock(settings: Settings) -> Iterator[Finding]:
    if settings.database.url:
        engine = connect(settings.database_url)
        try:
            yield judge_clock("database clock", ahead_of_postgres_s(engine))
        finally:
            engine.dispose()


def _log(settings: Settings) -> Iterator[Finding]:
    if settings.log.kind == "kafka":
        # Imported where it is used: the embedded service does without the client.
        from thumbwheel.app.kafka_check import examine_kafka

        yield from examine_kafka(settings)


def _versions(settings: Settings) -> Iterator[Finding]:
    engine = connect(settings.database_url)
    try:
        registry: Registry = SqlRegistry(engine, open_artifacts(settings))
        for policy, _ in registry.policies():
            yield tried(f"policy {policy}", lambda policy=policy: _champion(registry, policy))  # type: ignore[misc]
    finally:
        engine.dispose()


def _champion(registry: Registry, policy: str) -> str:
    champion = registry.channels(policy)[Channel.CHAMPION]
    registry.fetch(policy, champion)
    return f"champion {champion}, every file as published"
