"""A disk of its own, so small that it can be filled."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE = 1 << 16


class NoSmallDisk(Exception):
    """None can be mounted here."""


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Mount a disk of that size on a folder, with what the folder holds, while the block runs; then it is gone.

    Raises NoSmallDisk: it takes root, and the right to mount.
    """
    with tempfile.TemporaryDirectory() as kept:
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        mode = folder.stat().st_mode & 0o777
        options = f"size={size_bytes},mode={mode:o}"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoSmallDisk(f"a small disk can not be mounted here ({done.stderr.strip()}); run it as root")
        try:
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(folder: Path, leave_bytes: int = 0) -> Path:
    """Fill the disk of a folder but for so many bytes; return the file that does it."""
    filler = folder / "filler"
    with filler.open("ab") as file:
        try:
            while (room := shutil.disk_usage(folder).free - leave_bytes) > 0:
                file.write(os.urandom(min(_PIECE, room)))
                file.flush()
        except OSError:  # full, to the last byte
            pass
    return filler
