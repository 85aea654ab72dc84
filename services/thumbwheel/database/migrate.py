"""Migrations from code: bring a database to the schema this version works with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from thumbwheel.database.postgres_setup import take_time
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

# The standard library's: a command that set up no logs is not to print this.
logger = logging.getLogger(__name__)

# The newest revision. A test holds it equal to what `migrations/versions` ends with.
HEAD = "0005"
EMPTY = ""


def current(engine: Engine) -> str:
    """Return the database's revision; empty when it has no tables yet. Raises Unavailable."""
    with reading(engine) as connection:
        return _revision(connection)


def check(engine: Engine) -> None:
    """Raise SchemaMismatch, with the cure, unless the database is at this version's revision."""
    found = current(engine)
    _refuse_newer(found)
    if found != HEAD:
        raise SchemaMismatch(
            f"the database has schema {found or 'none'}, this version needs {HEAD}; the next start of `up` or "
            "`serve` brings it up to date (take a backup first, if there is something in it)"
        )


def migrate(engine: Engine) -> None:
    """Bring the database up to this version's schema, in one transaction; safe to call by many at once.

    Raises:
        SchemaMismatch: the database was written by a newer version.
        Unavailable: it can not be written.
    """
    found = current(engine)
    _refuse_newer(found)
    if found != HEAD:
        _run(engine, HEAD)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to an older revision (`EMPTY`: no tables), with the loss of what only newer ones hold."""
    _run(engine, revision)


def _run(engine: Engine, target: str) -> None:
    from alembic import command  # slow to import, and needed only when there is something to do

    with writing(engine) as connection:
        take_time(connection)
        found = _revision(connection)
        _refuse_newer(found)
        config = _config(connection)
        if target == EMPTY or target < found:
            command.downgrade(config, target or "base")
        else:
            command.upgrade(config, target)
    if found != target:
        logger.info("the database's schema is %s now, it was %s", target or "none", found or "none")


def _refuse_newer(found: str) -> None:
    if found > HEAD:
        raise SchemaMismatch(
            f"the database has schema {found}, newer than {HEAD} of this version;"
            " install the version that wrote it, or restore a backup made before the upgrade"
        )


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return EMPTY
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return str(row[0]) if row else EMPTY


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
