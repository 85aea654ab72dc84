"""The engine: one connection pool for a database URL. What each database needs is in its own `..._setup.py`."""

from __future__ import annotations

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from thumbwheel.database.postgres_setup import postgres_engine
from thumbwheel.database.sqlite_setup import sqlite_engine
from thumbwheel.errors import InvalidConfig

_ENGINES = {
    "sqlite": sqlite_engine,
    "postgresql": postgres_engine,
    "postgresql+psycopg": postgres_engine,
}
_CURE = "write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"


def connect(url: str) -> Engine:
    """Return an engine for the URL of an SQLite file or a PostgreSQL database. Opens nothing yet.

    A transaction of this engine takes the write lock at its start (so it can not fail half way for another
    writer), unless it is opened by `reading`. `dispose()` closes its connections.

    Raises:
        InvalidConfig: the URL is malformed or names a database this version has no support for.
    """
    parsed = _parsed(url)
    make = _ENGINES.get(parsed.drivername)
    if make is None:
        raise InvalidConfig("database.url", f"{parsed.drivername} is not supported; {_CURE}")
    return make(parsed)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # their texts may quote a part of the password
        raise InvalidConfig("database.url", f"not a usable database URL; {_CURE}") from None
