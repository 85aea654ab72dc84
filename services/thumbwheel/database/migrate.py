"""Migrations from code: bring a database to the schema this version works with."""

from __future__ import annotations

import logging
from dataclasses import dataclass
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
HEAD = "0007"
EMPTY = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """A schema the database can have: what it brought, and what is `lost` with it on the way back."""

    revision: str
    title: str
    lost: str


def revisions() -> list[Revision]:
    """Return all that this version knows, oldest first."""
    from alembic.script import ScriptDirectory  # slow to import

    scripts = reversed(list(ScriptDirectory.from_config(_config()).walk_revisions()))
    return [
        Revision(one.revision, one.doc, getattr(one.module, "lost", f"what it brought ({one.doc})")) for one in scripts
    ]


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
            f"the database has schema {found or 'none'}, this version needs {HEAD}; `thumbwheel database upgrade`, "
            "or the next start of `up` or `serve`, brings it up to date (take a backup first, if it holds something)"
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


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
