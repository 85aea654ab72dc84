"""Logs that seal users' events, each with a table of keys of its own."""

from __future__ import annotations

from pathlib import Path

from thumbwheel.bus.port import TOPICS, USER_KEYS, EventLog
from thumbwheel.bus.sealed_log import SealedLog
from thumbwheel.bus.sealing import Wrapping
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.store.user_keys import SqlUserKeys

SECRET = bytes(range(32))


def key_table(url: str, consumer: str = "c") -> SqlUserKeys:
    """A table of keys in a database, which is migrated if need be."""
    engine = connect(url)
    migrate(engine)
    return SqlUserKeys(engine, consumer, USER_KEYS)


def sealed(log: EventLog, url: str, secret: bytes = SECRET) -> SealedLog:
    """Seal what goes into a log."""
    return SealedLog(log, Wrapping(secret), key_table(url))


def open_below(folder: Path) -> EventLog:
    """A log in a file, with the topic of keys."""
    return open_log(folder / "log.sqlite", topics=(*TOPICS, USER_KEYS))
