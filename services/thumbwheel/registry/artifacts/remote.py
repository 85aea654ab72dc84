"""Versions in a store that has no rename, such as S3, through fsspec.

The location is `POLICY/UNIQUE-ID`, and nobody else ever writes there. The manifest goes in last; then the listing has
to show every file in its size. A publication that takes half as long as the time after which dead ones are cleared
gives up before its manifest: what it sent may be gone by then.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thumbwheel.errors import DamagedArtifact, InvalidInput, Unavailable
from thumbwheel.records import Manifest
from thumbwheel.registry.artifacts.cache import VersionCache
from thumbwheel.registry.artifacts.faults import RETRY_S, translated
from thumbwheel.registry.files import MANIFEST_NAME
from thumbwheel.registry.manifest import from_json, to_json, verify
from thumbwheel.telemetry.logging import get_logger

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_DEAD_AFTER_S = 86_400.0
_UNREGISTERED_AFTER_S = 7 * _DEAD_AFTER_S
_CHUNK_BYTES = 1 << 20
# Of an upload's parts and of what is asked for at once: S3 takes 10,000 parts at most, of 5 MiB at least.
_BLOCK_BYTES = 16 << 20
_CURE = "restore what was published, or promote another version"

logger = get_logger(__name__)


class RemoteStore:
    """A prefix of a store: the few things that are done with it, each raising nothing but `Unavailable`."""

    def __init__(self, filesystem: AbstractFileSystem, root: str, url: str) -> None:
        """`root` is the prefix as `filesystem` names it, `url` the one that people know it by, without secrets."""
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self.url = url

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Store an object. One whose writing fails half way is not completed."""
        with translated(self.url), self._opened(name) as file:
            for chunk in chunks:
                file.write(chunk)

    def read(self, name: str) -> Iterator[bytes]:
        """Yield an object's bytes. Raises DamagedArtifact when it is not there."""
        with translated(self.url):
            try:
                with self._filesystem.open(self._path(name), "rb", block_size=_BLOCK_BYTES) as file:
                    while chunk := file.read(_CHUNK_BYTES):
                        yield chunk
            except FileNotFoundError as error:
                raise DamagedArtifact(f"{name} is not in {self.url}; {_CURE}") from error

    def sizes(self, prefix: str) -> dict[str, int]:
        """Every object below a prefix (empty: all), by its name relative to that, with its size in bytes."""
        start = f"{self._path(prefix)}/"
        with translated(self.url):
            found = self._filesystem.find(self._path(prefix), detail=True)
        return {path.removeprefix(start): info["size"] for path, info in found.items() if path.startswith(start)}

    def folders(self, prefix: str) -> list[str]:
        """Names of what is directly below a prefix; none when there is no such prefix."""
        with translated(self.url):
            try:
                paths = self._filesystem.ls(self._path(prefix), detail=False)
            except FileNotFoundError:
                return []
        return [path.rstrip("/").rpartition("/")[2] for path in paths]

    def modified_s(self, name: str) -> float:
        """When an object was written, in seconds since the epoch, by the store's clock."""
        with translated(self.url):
            return float(self._filesystem.modified(self._path(name)).timestamp())

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects, if there are any."""
        if not names:
            return
        with translated(self.url):
            self._filesystem.rm([self._path(name) for name in names])

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        file = self._filesystem.open(self._path(name), "wb", block_size=_BLOCK_BYTES)
        try:
            yield file
            file.close()
        except BaseException:
            _abandon(file)
            raise


class RemoteArtifacts:
    """`Artifacts` in a remote store, with a cache on this machine. `clock` gives seconds since the epoch."""

    def __init__(self, store: RemoteStore, cache: VersionCache, clock: Callable[[], float] = time.time) -> None:
        """Keep versions in `store`, and what is fetched in `cache`."""
        self._store = store
        self._cache = cache
        self._clock = clock

    def upload(self, policy: str, source: Path, names: Sequence[str]) -> RemoteUpload:
        """See the port. What a failure leaves is removed by `clear_dead`: the store may be away for long."""
        upload = RemoteUpload(self._store, f"{policy}/{uuid.uuid4().hex}", self._clock)
        for name in names:
            upload.send(source / name, name)
        return upload

    def clear_dead(self, policy: str, named: Collection[str], ended_runs: Collection[str] = ()) -> None:
        """See the port."""
        for location in {f"{policy}/{folder}" for folder in self._store.folders(policy)} - set(named):
            try:
                self._clear_if_dead(location, ended_runs)
            except Unavailable as error:  # another process was faster, or nobody may delete: we publish all the same
                logger.warning("what a dead publication left can not be removed", location=location, problem=str(error))

    def fetch(self, location: str, expected: Manifest) -> Path:
        """See the port. From the cache, if it is there whole: then the store is not asked."""
        return self._cache.find(expected) or self._download(location, expected)

    def check(self) -> None:
        """See the port."""
        name = f".check-{uuid.uuid4().hex}"
        self._store.write(name, iter([b"check"]))
        if b"".join(self._store.read(name)) != b"check":
            raise Unavailable(f"the artifact store {self._store.url} does not return what it took", RETRY_S)
        self._store.remove([name])

    def _clear_if_dead(self, location: str, ended_runs: Collection[str]) -> None:
        names = [f"{location}/{name}" for name in self._store.sizes(location)]
        sealed = f"{location}/{MANIFEST_NAME}" in names
        if not names or (sealed and self._run_of(location) not in ended_runs):
            return
        newest_s = max(self._store.modified_s(name) for name in names)
        # Younger ones may be another process's at work.
        if self._clock() - newest_s >= (_UNREGISTERED_AFTER_S if sealed else _DEAD_AFTER_S):
            self._store.remove(names)
            logger.info("what a dead publication left is removed", location=location, sealed=sealed)

    def _run_of(self, location: str) -> str:
        """Return which run made what has a manifest; empty for none, and where that can not be read."""
        try:
            return from_json(b"".join(self._store.read(f"{location}/{MANIFEST_NAME}")).decode(errors="replace")).run_id
        except DamagedArtifact:
            return ""

    def _download(self, location: str, expected: Manifest) -> Path:
        sizes = self._store.sizes(location)
        _demand_files(sizes, expected)
        with self._cache.incoming(sum(sizes.values())) as folder:
            for name in (*expected.files, MANIFEST_NAME):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    file.writelines(self._store.read(f"{location}/{name}"))
            verify(folder, expected)
            return self._cache.keep(folder, expected)


class RemoteUpload:
    """`Upload` into a remote store."""

    def __init__(self, store: RemoteStore, location: str, clock: Callable[[], float]) -> None:
        """Send to `location`, where nobody else writes."""
        self._store = store
        self._location = location
        self._clock = clock
        self._began_s = clock()
        self._digests: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    @property
    def digests(self) -> Mapping[str, str]:
        """See the port."""
        return self._digests

    def send(self, source: Path, name: str) -> None:
        """Send one file; its digest is that of the bytes that went. Raises Unavailable, InvalidInput."""
        hashed, size = hashlib.sha256(), 0

        def hashing() -> Iterator[bytes]:
            nonlocal size
            for chunk in _chunks(source):
                hashed.update(chunk)
                size += len(chunk)
                yield chunk

        self._store.write(f"{self._location}/{name}", hashing())
        self._digests[name], self._sizes[name] = hashed.hexdigest(), size

    def seal(self, manifest: Manifest) -> str:
        """See the port."""
        if self._clock() - self._began_s > _DEAD_AFTER_S / 2:
            raise Unavailable(f"sending the version to {self._store.url} took too long; publish it again", RETRY_S)
        text = to_json(manifest).encode()
        self._store.write(f"{self._location}/{MANIFEST_NAME}", iter([text]))
        if self._store.sizes(self._location) != {**self._sizes, MANIFEST_NAME: len(text)}:
            raise Unavailable(f"{self._store.url} does not have all that was sent; publish it again", RETRY_S)
        return self._location

    def discard(self) -> None:
        """See the port."""
        try:
            self._store.remove([f"{self._location}/{name}" for name in self._store.sizes(self._location)])
        except Unavailable as error:
            logger.warning("a publication can not be taken back now", location=self._location, problem=str(error))


def _demand_files(found: Collection[str], expected: Manifest) -> None:
    """Raise DamagedArtifact unless a location has the files of a version and no others."""
    name, wanted = f"{expected.policy} {expected.version}", {*expected.files, MANIFEST_NAME}
    if missing := wanted - set(found):
        raise DamagedArtifact(f"{name}: {min(missing)} is not in the store; {_CURE}")
    if added := set(found) - wanted:
        raise DamagedArtifact(f"{name}: {min(added)} does not belong to the version; {_CURE}")


def _chunks(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise InvalidInput("folder", f"{source.name} can not be read ({error.strerror}); mend its rights") from error


def _abandon(file: Any) -> None:
    """Leave a file that is half written. Closing it would send the rest and make an object of it."""
    from fsspec.spec import AbstractBufferedFile

    if isinstance(file, AbstractBufferedFile):
        file.closed = True
    else:
        file.close()
