"""A version's folder on its way in: written beside its place, flushed, and renamed when it is whole.

Only a row in the database makes a folder a version. What a crash leaves behind (a half-written copy, or a whole
folder whose row never came) has no row, is never read, and is cleared by a later publication.
"""

from __future__ import annotations

import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from thumbwheel.durable import sync
from thumbwheel.records import Manifest
from thumbwheel.registry.files import copy_synced
from thumbwheel.registry.manifest import write_manifest

_PREFIX = ".incoming-"
_STALE_S = 86_400.0


def stage(source: Path, policy_folder: Path, names: list[str]) -> tuple[Path, dict[str, str]]:
    """Copy a version's files beside their later place; return the temporary folder and the digests of the copies."""
    policy_folder.mkdir(parents=True, exist_ok=True)
    _clear_stale(policy_folder)
    staged = policy_folder / f"{_PREFIX}{uuid.uuid4().hex}"
    return staged, copy_synced(source, staged, names)


def settle(staged: Path, place: Path, manifest: Manifest) -> None:
    """Complete a staged folder by its manifest and move it to its place, atomically.

    The caller holds the registry's write transaction and knows that no row names `place`: what is there is the
    rest of a publication that died before its row.
    """
    write_manifest(staged, manifest)
    sync(staged)
    if place.exists():
        place.rename(place.parent / f"{_PREFIX}{uuid.uuid4().hex}")
    staged.rename(place)
    sync(place.parent)


def discard(staged: Path) -> None:
    """Remove a staged folder that is not wanted any more; nothing happens if it was settled."""
    shutil.rmtree(staged, ignore_errors=True)


def _clear_stale(policy_folder: Path) -> None:
    """Remove copies that died; one younger than a day may be another process at work."""
    limit = time.time() - _STALE_S
    for left in policy_folder.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # another process was faster
            if left.stat().st_mtime < limit:
                discard(left)
