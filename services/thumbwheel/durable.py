"""Files that are there whole or not at all, also after a power cut: the one place that knows how.

A file is written beside its place, flushed, renamed, and its folder is flushed too: else the rename itself may be lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL_SUFFIX = ".partial"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; when the block ends, that file takes the place of `path`.

    When the block raises, or the disk refuses, `path` stays what it was and nothing is left beside it. A process that
    is killed leaves the unfinished file, which the next one overwrites: there is one writer of a path at a time.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, UTF-8 with `\\n` as it stands. Raises OSError."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries (names, renames), to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
