"""A real PostgreSQL server in a temporary folder, on a free loopback port.

The server refuses to run as root: then it runs as another user of this machine, who owns the folder.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from loopback import free_port

from thumbwheel.store.sql import open_store

CURE = "no PostgreSQL server here; get it with: apt-get install postgresql"
PASSWORD = "paSSword-0f-tests"
_DEBIAN = Path("/usr/lib/postgresql")  # a folder a version; not on the PATH
_USERS = ("postgres", "nobody")
_TEMPLATE = "migrated"


def find_binaries() -> Path | None:
    """Return the folder of initdb and pg_ctl: of the PATH, else the newest that Debian installed."""
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).resolve().parent
    installed = (path.parent for path in _DEBIAN.glob("*/bin/pg_ctl"))
    return max(installed, key=lambda folder: int(folder.parent.name), default=None)


class PostgresServer:
    """A server whose databases belong to `thumbwheel`, a user with no other right; `admin_url` is its superuser's.

    Databases sort as people do (ICU), not by code points, as an operator's may. Nothing is flushed to the disk: these
    tests end processes, not the machine.
    """

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self.data = folder / "data"
        self._log = folder / "log"
        self._binaries = binaries
        self._user = user
        self.port = free_port()
        self._numbers = itertools.count()

    def create(self, password_file: Path) -> None:
        """Make the server's files."""
        locale = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")
        access = ("--auth=scram-sha-256", f"--pwfile={password_file}", "--username=admin")
        self._run("initdb", "-D", self.data, "--no-sync", *locale, *access)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        options += " -c max_connections=60"
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-l", self._log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a crash: nothing is finished, and it recovers at the next start."""
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-m", mode, "stop")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze the server and all its sessions while the block runs: connections stay, and nothing answers."""
        server = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        server.suspend()  # first, so that it begins no more sessions
        frozen = [server, *server.children(recursive=True)]
        for one in frozen[1:]:
            one.suspend()
        try:
            yield
        finally:
            for one in frozen:
                one.resume()

    def url(self, database: str, user: str = "thumbwheel") -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """Open a superuser's connection, each statement its own transaction."""
        conninfo = f"host=127.0.0.1 port={self.port} user=admin password={PASSWORD} dbname={database}"
        return psycopg.connect(conninfo, autocommit=True)

    def prepare(self) -> None:
        """Make the user, and a database with all tables to copy from."""
        with self.admin() as connection:
            connection.execute(f"CREATE ROLE thumbwheel LOGIN PASSWORD '{PASSWORD}'")
            connection.execute(f"CREATE DATABASE {_TEMPLATE} OWNER thumbwheel")
        open_store(self.url(_TEMPLATE)).close()

    @contextmanager
    def database(self, empty: bool = False) -> Iterator[str]:
        """Make a database of its own, with or without tables; yield its URL, and drop it in the end."""
        name = f"test_{next(self._numbers)}"
        template = "template1" if empty else _TEMPLATE
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER thumbwheel TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            with self.admin() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def files(self, url: str) -> list[Path]:
        """Return all files of a database, without the write-ahead log, as they are once all is written to them.

        Nor with the server's cache of its own catalogue, which comes and goes as sessions do and holds no row.
        """
        with self.admin(url.rpartition("/")[2]) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return [
            path
            for path in (self.data / "base" / str(row[0])).iterdir()
            if path.is_file() and path.name != "pg_internal.init"
        ]

    def _run(self, program: str, *arguments: str | Path) -> None:
        command: Sequence[str | Path] = [self._binaries / program, *arguments]
        done = subprocess.run(
            command, user=self._user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            log = self._log.read_text() if self._log.exists() else ""
            raise RuntimeError(f"{program} failed ({done.returncode}): {done.stderr}\n{log[-2000:]}")


@contextmanager
def running_server(binaries: Path) -> Iterator[PostgresServer]:
    """Run a server; stop it, by its pid file, and remove its folder in the end."""
    folder = Path(tempfile.mkdtemp(prefix="thumbwheel-postgres-"))
    try:
        user = _other_user() if os.geteuid() == 0 else None
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        if user is not None:
            for path in (folder, password_file):
                shutil.chown(path, user)
        server = PostgresServer(folder, binaries, user)
        server.create(password_file)
        server.start()
        try:
            server.prepare()
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _other_user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)
