"""Certificates that follow their files: whoever renews them replaces the files, and no process is started anew.

Files are looked at when a client connects, which takes some microseconds. A new certificate and its key may come one
after the other: while they do not fit each other, or can't be used for another reason, what was good last goes on.
Connections that are open stay as they are.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

from thumbwheel.errors import InvalidConfig
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.tls.certificates import DoorCertificates, DoorFiles, read_door

logger = get_logger(__name__)

_Seen = tuple[tuple[int, int, int], ...]


def utc_now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


class FollowedCertificates:
    """A door's certificates as the files have them now. Safe from any thread."""

    def __init__(self, files: DoorFiles, clock: Callable[[], dt.datetime] = utc_now) -> None:
        """Read the files. Raises InvalidConfig when they can not be used as they are."""
        self.files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = _look(files)
        self._current = read_door(files, clock())

    def current(self) -> DoorCertificates:
        """Return what was good last; the same object as long as the files are the same."""
        with self._lock:
            seen = _look(self.files)
            if seen != self._seen:
                self._seen = seen
                self._read()
            return self._current

    def _read(self) -> None:
        try:
            self._current = read_door(self.files, self._clock())
        except InvalidConfig as error:
            logger.warning("the certificate's files were changed and can't be used; the last ones stay", why=str(error))
        else:
            logger.info("the certificate was renewed", expires=self._current.expires.isoformat())


def _look(files: DoorFiles) -> _Seen:
    """Return what changes when a file is written or replaced; one that can't be seen is as if it were empty."""
    seen = []
    for file in files.all:
        try:
            found = file.path.stat()
            seen.append((found.st_ino, found.st_mtime_ns, found.st_size))
        except OSError:
            seen.append((0, 0, 0))
    return tuple(seen)
