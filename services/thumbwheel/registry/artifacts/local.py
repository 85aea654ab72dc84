"""Versions in a folder of this machine, or of a shared volume: written beside their location, flushed, then renamed.

The location is `POLICY/VERSION`; where something stands there already, the rest of a publication that died, it has a
suffix. Nothing that has such a name is ever overwritten or moved by another publication, even one that was frozen for
hours, and whatever has one is whole.
"""

from __future__ import annotations

import errno
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from thumbwheel.durable import sync, write_whole
from thumbwheel.errors import DamagedArtifact, Unavailable
from thumbwheel.records import Manifest
from thumbwheel.registry.files import MANIFEST_NAME, copy_synced
from thumbwheel.registry.manifest import read_manifest, verify, write_manifest

_PREFIX = ".incoming-"
_STALE_S = 86_400.0
_UNREGISTERED_AFTER_S = 7 * _STALE_S
_RETRY_S = 5.0


class LocalArtifacts:
    """`Artifacts` in a folder. `clock` gives seconds since the epoch."""

    def __init__(self, folder: Path, *, mounted: bool = False, clock: Callable[[], float] = time.time) -> None:
        """Keep versions in `folder`, which is made when it is needed.

        One that is `mounted` is not: where it is missing the volume is away, and would hide what went there.
        """
        self._folder = folder
        self._mounted = mounted
        self._clock = clock

    def upload(self, policy: str, source: Path, names: Sequence[str]) -> LocalUpload:
        """See the port."""
        staged = self._folder / policy / f"{_PREFIX}{uuid.uuid4().hex}"
        try:
            with _translated(self._folder):
                self._demand_mounted()
                staged.parent.mkdir(parents=True, exist_ok=True)
                return LocalUpload(self._folder, staged, copy_synced(source, staged, names))
        except BaseException:
            _remove(staged)
            raise

    def clear_dead(self, policy: str, named: Collection[str], ended_runs: Collection[str] = ()) -> None:
        """See the port. A copy that is younger than a day may be another process at work."""
        limit = self._clock() - _STALE_S
        with _translated(self._folder):
            for sealed in (self._folder / policy).glob("[!.]*"):
                if f"{policy}/{sealed.name}" not in named and self._is_left(sealed, ended_runs):
                    with suppress(FileNotFoundError):
                        _remove(sealed.rename(sealed.with_name(f"{_PREFIX}{uuid.uuid4().hex}")))  # never half of it
            for left in (self._folder / policy).glob(f"{_PREFIX}*"):
                with suppress(FileNotFoundError):  # another process was faster
                    if left.stat().st_mtime < limit:
                        _remove(left)

    def fetch(self, location: str, expected: Manifest) -> Path:
        """See the port. The folder is the store's own."""
        self._demand_mounted()
        folder = self._folder / location
        verify(folder, expected)
        return folder

    def check(self) -> None:
        """See the port."""
        probe = self._folder / f"{_PREFIX}{uuid.uuid4().hex}"
        with _translated(self._folder):
            self._demand_mounted()
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(probe, "check")
            probe.read_text()
            probe.unlink()

    def _is_left(self, sealed: Path, ended_runs: Collection[str]) -> bool:
        """Whether a run that has ended made it, a week ago or more."""
        try:
            age_s = self._clock() - (sealed / MANIFEST_NAME).stat().st_mtime
            return age_s >= _UNREGISTERED_AFTER_S and read_manifest(sealed).run_id in ended_runs
        except (DamagedArtifact, OSError):
            return False

    def _demand_mounted(self) -> None:
        if self._mounted and not self._folder.is_dir():
            problem = f"the artifact store {self._folder} is not there; mount the volume, or make the folder"
            raise Unavailable(problem, _RETRY_S)


class LocalUpload:
    """`Upload` into a folder."""

    def __init__(self, root: Path, folder: Path, digests: Mapping[str, str]) -> None:
        """`folder` has the files, somewhere below `root`, under a name that no reader looks at."""
        self._root = root
        self._folder = folder
        self.digests = digests

    def seal(self, manifest: Manifest) -> str:
        """See the port."""
        with _translated(self._root):
            write_manifest(self._folder, manifest)
            sync(self._folder)
            self._settle(self._root / manifest.policy / manifest.version)
            sync(self._folder.parent)
        return self._folder.relative_to(self._root).as_posix()

    def discard(self) -> None:
        """See the port."""
        _remove(self._folder)

    def _settle(self, wanted: Path) -> None:
        """Rename to what is wanted, or to something like it. A folder that has files is never replaced by a rename."""
        try:
            self._folder = self._folder.rename(wanted)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self._folder = self._folder.rename(f"{wanted}-{uuid.uuid4().hex[:12]}")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Raise what the disk refuses as `Unavailable`."""
    try:
        yield
    except OSError as error:
        problem = f"{folder.name} can not take the version ({error.strerror}); free space or mend its rights"
        raise Unavailable(problem, _RETRY_S) from error
