"""A ballast: a file that holds room on a disk, to be let go where a full disk would keep the last way out shut.

To remove records a log in a file has to write. On a disk that is full it can not, so what was shipped would stay, and
the disk full. The ballast is made while there is room, of blocks that are really there, and removed for that one write.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


class Ballast:
    """The file `path`, of `size_bytes`; without size there is none. For one thread at a time."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Nothing is made yet; what a process before left there is used."""
        self._path = path
        self._size_bytes = size_bytes
        self._there = False

    def make(self) -> bool:
        """Make it where it is not there; return whether all that is wanted is. Without room for it nothing is left."""
        if not self._size_bytes:
            return True
        if not self._there:
            try:
                if (
                    self._held() >= self._size_bytes
                    or shutil.disk_usage(self._path.parent).free >= 2 * self._size_bytes
                ):
                    self._allocate()
                    self._there = True
            except OSError:
                with suppress(OSError):  # half of it would take room from who needs it
                    self._path.unlink(missing_ok=True)
        return self._there

    def free(self) -> bool:
        """Let its room go; return whether there was any."""
        self._there = False
        if not self._size_bytes or not self._held():
            return False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _held(self) -> int:
        """Return how much room it holds now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
        finally:
            os.close(descriptor)
