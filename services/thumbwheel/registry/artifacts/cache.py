"""Versions that were fetched from a remote store, in a folder of this machine, up to a size.

An entry is downloaded beside its place and renamed when it is whole and every digest is right. Many processes may
share the folder: two that download the same do so twice, and one of the copies stays.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from thumbwheel.errors import DamagedArtifact, Unavailable
from thumbwheel.records import Manifest
from thumbwheel.registry.manifest import verify
from thumbwheel.telemetry.logging import get_logger

_PREFIX = ".incoming-"
_STALE_S = 86_400.0
# What was fetched a moment ago is about to be loaded.
_IN_USE_S = 900.0
_RETRY_S = 10.0

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A version, or a download under way.

    `used_s` is when it was last fetched, in seconds since the epoch; infinite for a download.
    """

    folder: Path
    used_s: float
    size_bytes: int


class VersionCache:
    """A folder of versions. The least recently fetched go first, none that was fetched in the last 15 minutes.

    So it may hold more than `max_bytes`: what is about to be loaded, and a single version that is larger. `clock`
    gives seconds since the epoch.
    """

    def __init__(self, folder: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        """Keep at most `max_bytes` in `folder`, which is made when it is needed."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock

    def find(self, expected: Manifest) -> Path | None:
        """Return a version's folder, every digest checked, or None. A damaged one is dropped.

        Raises Unavailable when the disk refuses.
        """
        place = self._place(expected)
        with self._translated():
            try:
                self._mark(place)
                verify(place, expected)
            except FileNotFoundError:
                return None
            except DamagedArtifact as damaged:
                logger.warning("a cached version is damaged and is fetched anew", problem=str(damaged))
                self._drop(place)
                return None
        return place

    @contextmanager
    def incoming(self, size_bytes: int) -> Iterator[Path]:
        """Make room for `size_bytes` and yield an empty folder to download into; what is left of it goes in the end.

        Raises Unavailable when the disk refuses.
        """
        new = self._folder / f"{_PREFIX}{uuid.uuid4().hex}"
        try:
            with self._translated():
                self._make_room(size_bytes)
                new.mkdir(parents=True)
                yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def keep(self, downloaded: Path, expected: Manifest) -> Path:
        """Move a whole download to its place and return that."""
        place = self._place(expected)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            downloaded.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            found = self.find(expected)  # somebody was faster
            if found is not None:
                return found
            downloaded.rename(place)
        self._mark(place)
        return place

    def _place(self, version: Manifest) -> Path:
        """The digest is in the name: the home may have served another database before."""
        return self._folder / version.policy / f"{version.version}-{version.digest.removeprefix('sha256:')[:12]}"

    def _mark(self, place: Path) -> None:
        now = self._clock()
        os.utime(place, (now, now))

    def _make_room(self, size_bytes: int) -> None:
        self._clear_dead()
        entries = sorted(self._entries(), key=lambda entry: entry.used_s)
        excess = sum(entry.size_bytes for entry in entries) + size_bytes - self._max_bytes
        for entry in entries:
            if excess <= 0 or self._clock() - entry.used_s < _IN_USE_S:
                break
            self._drop(entry.folder)
            excess -= entry.size_bytes
        if excess > 0:
            logger.warning("the cache of versions is larger than artifacts.cache_bytes", excess_bytes=excess)

    def _entries(self) -> Iterator[_Entry]:
        for folder in self._folder.glob("[!.]*/*"):
            with suppress(FileNotFoundError):  # another process was faster
                yield _Entry(folder, folder.stat().st_mtime, _size_bytes(folder))
        for download in self._folder.glob(f"{_PREFIX}*"):
            with suppress(FileNotFoundError):
                yield _Entry(download, math.inf, _size_bytes(download))

    def _clear_dead(self) -> None:
        limit = self._clock() - _STALE_S
        for left in self._folder.glob(f"{_PREFIX}*"):
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < limit:
                    shutil.rmtree(left, ignore_errors=True)

    def _drop(self, folder: Path) -> None:
        """Rename, then remove: nobody finds half of it."""
        dropped = self._folder / f"{_PREFIX}{uuid.uuid4().hex}"
        with suppress(FileNotFoundError):
            folder.rename(dropped)
        shutil.rmtree(dropped, ignore_errors=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"the cache {self._folder} can not take the version ({error.strerror})"
            raise Unavailable(f"{problem}; free space or mend its rights", _RETRY_S) from error


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
