"""The home folder: one service at a time holds it, and writes there where it can be reached.

Who holds it owns the log in it, the outbox where the log is in Kafka: one process ships and trims it. So a second
`serve` of this machine needs a home of its own. What only reads and writes other parts takes no lock.
"""

from __future__ import annotations

import fcntl
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from thumbwheel.durable import write_whole
from thumbwheel.errors import HomeInUse, Unavailable

_LOCK = "service.lock"
_TRAINING_LOCK = "retrain.lock"
_ADDRESSES = "service.json"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service answers; `pid` is its process.

    `web` is where its pages are, empty where it has none, `probes` where /healthz and /metrics are.
    """

    pid: int
    grpc: str
    admin: str
    web: str
    probes: str


class Home:
    """An exclusively held home folder. Use as a context manager; the lock dies with the process."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made, with mode 700, when it is entered."""
        self.folder = folder
        self._lock: IO[str] | None = None

    def __enter__(self) -> Home:
        """Take the folder.

        Raises:
            HomeInUse: another process holds it.
            Unavailable: it can not be written.
        """
        try:
            make_home(self.folder)
            lock = (self.folder / _LOCK).open("a+")
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise HomeInUse(_who_holds(self.folder)) from error
        self._lock = lock
        (self.folder / _ADDRESSES).unlink(missing_ok=True)  # of a service that was killed: ours are not known yet
        return self

    def __exit__(self, *_: object) -> None:
        """Give the folder back."""
        (self.folder / _ADDRESSES).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def announce(self, addresses: Addresses) -> None:
        """Write where the service answers, for the command line to find. Raises Unavailable when it can not be."""
        try:
            write_whole(self.folder / _ADDRESSES, json.dumps(asdict(addresses), indent=1) + "\n")
        except OSError as error:
            raise _unwritable(self.folder, error) from error


@contextmanager
def trains_here(folder: Path) -> Iterator[None]:
    """Hold the folders of the runs in a home while the block runs: one process at a time goes on with them.

    Raises:
        HomeInUse: another process holds them.
        Unavailable: the home can not be written.
    """
    make_home(folder)
    try:
        lock = (folder / _TRAINING_LOCK).open("a")
    except OSError as error:
        raise _unwritable(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            said = (
                f"home: another process trains in {folder} (`up`, or `retrain`); stop it, or choose another with --home"
            )
            raise HomeInUse(said) from error
        yield


def demand_free(folder: Path) -> None:
    """Raise HomeInUse when a process holds the home now; it may be taken a moment later, which `Home` finds out."""
    if is_held(folder):
        raise HomeInUse(_who_holds(folder))


def demand_writable(folder: Path) -> None:
    """Make the folder, write something there and remove it again. Raises Unavailable when that fails."""
    make_home(folder)
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def make_home(folder: Path) -> None:
    """Make the folder, for its owner only. Raises Unavailable when it can not be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def announced(folder: Path) -> Addresses | None:
    """Return where the home's service answers, or None when none runs."""
    if not is_held(folder):
        return None
    try:
        return Addresses(**json.loads((folder / _ADDRESSES).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _who_holds(folder: Path) -> str:
    holder = announced(folder)
    who = f"process {holder.pid}" if holder else "another process"
    return f"home: {folder} is in use by {who}; stop it, or choose another folder with --home"


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    said = f"home: {folder} can not be written ({error.strerror}); mend that or choose another with --home"
    return Unavailable(said, retry_after_s=5.0)


def is_held(folder: Path) -> bool:
    """Whether a process holds the home now: a service, up or still starting, or a command that changes it."""
    # Asking the lock, not the process table: a process id may have been given to somebody else since.
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
