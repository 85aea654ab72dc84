"""Where the checkpoint of an update lies that several workers work on, such that each of them finds it.

Beside the versions where `artifacts.url` names a store, since the workers may be on other machines: in `.runs/`, which
no policy can be named. Else in the run's folder, as with one worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from thumbwheel.config.settings import Artifacts
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.remote import RemoteStore

RUNS_FOLDER = ".runs"  # no policy can have this name
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A file on a disk that all workers share."""

    path: Path

    def bring(self, scratch: Path) -> Path:
        """Return the file that the update goes on from, if it is there, and saves to."""
        return self.path

    def put_away(self, path: Path) -> None:
        """Nothing to do: the file lies where it belongs."""

    def clear(self) -> None:
        """Forget the checkpoint."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """An object in a remote store. Each method raises Unavailable when the store is away."""

    artifacts: Artifacts
    name: str

    def bring(self, scratch: Path) -> Path:
        """Return the file that the update goes on from, fetched into the folder `scratch`, if it is there."""
        path, store = scratch / "checkpoint.safetensors", self._store()
        folder, _, name = self.name.rpartition("/")
        if name in store.sizes(folder):
            with path.open("xb") as file:
                file.writelines(store.read(self.name))
        return path

    def put_away(self, path: Path) -> None:
        """Send the file. It takes the place of the one before once it is there whole."""
        self._store().write(self.name, _chunks(path))

    def clear(self) -> None:
        """Forget the checkpoint."""
        store = self._store()
        folder, _, name = self.name.rpartition("/")
        if name in store.sizes(folder):
            store.remove([self.name])

    def _store(self) -> RemoteStore:
        return open_store(self.artifacts)


CheckpointPlace = LocalPlace | RemotePlace


def checkpoint_place(artifacts: Artifacts, run_id: str, local: Path) -> CheckpointPlace:
    """The place for a run's checkpoint; `local` is the one in its folder."""
    url, name = urlsplit(artifacts.url), f"{RUNS_FOLDER}/{run_id}/{local.name}"
    if not url.scheme:
        return LocalPlace(local)
    if url.scheme == "file":
        return LocalPlace(Path(unquote(url.path)) / name)
    return RemotePlace(artifacts, name)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
