"""Copies of a database while others use it: SQLite by its backup interface, PostgreSQL by pg_dump and pg_restore."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, inspect, make_url

from thumbwheel.database.engine import connect
from thumbwheel.database.postgres_setup import driver_url
from thumbwheel.database.sqlite_faults import fault
from thumbwheel.database.transactions import reading
from thumbwheel.errors import Conflict, Unavailable

_RETRY_S = 10.0
_CURE = "install PostgreSQL's client programs, of the server's release or a later one"


def copy_name(url: str) -> str:
    """Return what the copy of a database at `url` is called."""
    return "store.sqlite" if _is_file(url) else "store.dump"


def dump(url: str, path: Path) -> None:
    """Write a copy of one consistent state of the database into the file `path`; writers go on meanwhile.

    Raises:
        Unavailable: the database can not be read, or the file not written.
        Conflict: pg_dump is not on the PATH.
    """
    parsed = make_url(url)
    if _is_file(url):
        copy_sqlite(Path(parsed.database or ""), path)
        return
    # without owners and rights: it may be restored by another user
    _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}"], parsed)


def load(url: str, path: Path) -> None:
    """Fill the database, which must have no tables, from a copy. All of it comes, or nothing.

    Raises:
        Conflict: the database has tables, or pg_restore is not on the PATH.
        Unavailable: it can not be written.
    """
    parsed = make_url(url)
    if _is_file(url):
        place = Path(parsed.database or "")
        if place.exists():
            raise Conflict(f"{place} is there; a backup is restored beside nothing: move it away first")
        copy_sqlite(path, place)
        return
    _demand_empty(url)
    _run(["pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(path)], parsed)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy an SQLite file, with what its write-ahead log holds, for this user's eyes only. Raises Unavailable."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _copy(source, partial)
        partial.replace(target)
    except sqlite3.Error as error:
        found = fault(error)
        if found is None:
            raise
        raise Unavailable(f"{source.name} can not be copied: {found.problem}", found.retry_after_s) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    try:
        writer = sqlite3.connect(target)
        try:
            reader.backup(writer)  # in one step: it would begin anew after each write of another process
        finally:
            writer.close()
    finally:
        reader.close()


def _is_file(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _demand_empty(url: str) -> None:
    engine = connect(url)
    try:
        with reading(engine) as connection:
            tables = inspect(connection).get_table_names()
    finally:
        engine.dispose()
    if tables:
        raise Conflict("database.url: the database has tables; a backup is restored into an empty one")


def _run(command: Sequence[str], url: URL) -> None:
    """Run a client program on a database; the password goes by its environment, which others can not see."""
    program = shutil.which(command[0])
    if program is None:
        raise Conflict(f"{command[0]} is not on the PATH; {_CURE}")
    place = driver_url(url).set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    done = subprocess.run(
        [program, f"--dbname={place}", "--no-password", *command[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[0]
        raise Unavailable(f"{command[0]} failed and said: {said}", _RETRY_S)
