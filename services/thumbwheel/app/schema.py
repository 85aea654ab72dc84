"""The database's schema, for operators: shown, brought up to date ahead of a start, or taken back to an older one.

A home's own database is changed only while nothing runs on it. Of a database elsewhere nobody here knows who uses it:
its operator ends them first. A change is one transaction, and waits for writers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from thumbwheel.app.home import Home, trains_here
from thumbwheel.config.settings import Settings
from thumbwheel.database import migrate
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import EMPTY, HEAD, Revision
from thumbwheel.errors import Conflict, InvalidInput

NO_TABLES = "none"
"""How people name the schema of a database without tables."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database at `place` has: `found` of `known`, empty without tables; one that `known` lacks is newer."""

    place: str
    found: str
    known: tuple[Revision, ...]

    @property
    def newer(self) -> bool:
        """Whether a newer release wrote it."""
        return self.found > HEAD


def schema_of(settings: Settings) -> Schema:
    """Look, and change nothing. Raises Unavailable."""
    if not settings.database.url and not _file(settings).exists():
        return Schema(_place(settings), EMPTY, tuple(migrate.revisions()))
    with _engine(settings) as engine:
        return Schema(_place(settings), migrate.current(engine), tuple(migrate.revisions()))


def upgrade(settings: Settings) -> tuple[str, str]:
    """Bring the database up to this release's schema; return what it was and is.

    Raises:
        HomeInUse: something runs on the home that the database is in.
        SchemaMismatch: a newer release wrote it.
        Unavailable: it is away, or can not be written.
    """
    with _alone(settings), _engine(settings) as engine:
        before = migrate.current(engine)
        migrate.migrate(engine)
        return before, HEAD


def losses(schema: Schema, target: str) -> Sequence[Revision]:
    """Return what a downgrade to `target` takes back, newest first.

    Raises:
        InvalidInput: there is no such schema.
        Conflict: the database is older, or newer than this release knows.
    """
    wanted = EMPTY if target == NO_TABLES else target
    names = [one.revision for one in schema.known]
    if wanted not in (EMPTY, *names):
        raise InvalidInput("SCHEMA", f"{target!r} is none; name {', '.join(names)}, or {NO_TABLES} for no tables")
    if schema.newer:
        raise Conflict(
            f"the database has schema {schema.found}, newer than this release's {HEAD}: use the release of it"
        )
    if wanted >= schema.found:
        said = f"the database has schema {schema.found or NO_TABLES}, and {target} is not before it"
        raise Conflict(f"{said}; `thumbwheel database upgrade` goes the other way")
    return [one for one in reversed(schema.known) if wanted < one.revision <= schema.found]


def downgrade(settings: Settings, target: str) -> str:
    """Take the database back to `target`, with the loss that `losses` names; return what it was.

    Raises InvalidInput and Conflict as `losses` does, HomeInUse and Unavailable as `upgrade` does.
    """
    with _alone(settings):
        schema = schema_of(settings)
        losses(schema, target)
        with _engine(settings) as engine:
            migrate.downgrade(engine, EMPTY if target == NO_TABLES else target)
        return schema.found


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    with ExitStack() as stack:
        if not settings.database.url:
            stack.enter_context(Home(settings.home))
            stack.enter_context(trains_here(settings.home))
        yield


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    engine = connect(settings.database_url)
    try:
        yield engine
    finally:
        engine.dispose()


def _place(settings: Settings) -> str:
    return settings.database.url or str(_file(settings))


def _file(settings: Settings) -> Path:
    return settings.home / "store.sqlite"
