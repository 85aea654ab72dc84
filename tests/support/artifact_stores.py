"""Stores for versions, empty, and a way around the adapter to see and alter what lies in them."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem
from s3_server import S3Gateway

from thumbwheel.config.settings import Artifacts as ArtifactSettings
from thumbwheel.records import Manifest
from thumbwheel.registry.artifacts.cache import VersionCache
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.artifacts.port import Artifacts
from thumbwheel.registry.artifacts.remote import RemoteArtifacts, RemoteStore
from thumbwheel.registry.files import MANIFEST_NAME
from thumbwheel.registry.manifest import to_json

CACHE_BYTES = 1 << 30


class Clock:
    """Seconds since the epoch, ahead of the machine's clock by what a test says."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Kept:
    """A store. `raw` is its whole content, `cache` where fetched versions are, if they are not read in place."""

    artifacts: Artifacts
    raw: RemoteStore
    clock: Clock
    cache: Path | None = None

    def files(self) -> set[str]:
        """Names of all files in the store."""
        return set(self.raw.sizes(""))

    def read(self, name: str) -> bytes:
        """What a file has."""
        return b"".join(self.raw.read(name))

    def write(self, name: str, content: bytes) -> None:
        """Write or overwrite a file."""
        self.raw.write(name, iter([content]))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.raw.remove([name])

    def location(self, manifest: Manifest) -> str:
        """Where a version lies, found by its manifest."""
        ends = (name for name in self.files() if name.endswith(f"/{MANIFEST_NAME}"))
        return next(name for name in ends if self.read(name).decode() == to_json(manifest)).removesuffix(
            f"/{MANIFEST_NAME}"
        )

    def forget(self) -> None:
        """Empty the cache."""
        if self.cache is not None:
            shutil.rmtree(self.cache, ignore_errors=True)


def folder_store(folder: Path) -> RemoteStore:
    """A folder that is used like a store without rename."""
    return RemoteStore(LocalFileSystem(auto_mkdir=True, skip_instance_cache=True), str(folder), folder.as_uri())


def s3_settings(gateway: S3Gateway, prefix: str = "some/versions", timeout_s: float = 5.0) -> ArtifactSettings:
    """Settings of a new bucket. The process must have the gateway's `environment()`."""
    url = f"s3://{gateway.new_bucket()}/{prefix}"
    return ArtifactSettings(url=url, endpoint_url=gateway.endpoint_url, timeout_s=timeout_s)


def kept_in_folder(home: Path) -> Kept:
    """Versions in a folder, by the adapter that renames."""
    clock, folder = Clock(), home / "versions"
    return Kept(LocalArtifacts(folder, clock=clock), folder_store(folder), clock)


def kept_remotely(store: RemoteStore, home: Path, cache_bytes: int = CACHE_BYTES) -> Kept:
    """Versions in a store without rename, with a cache in the home."""
    clock, cache = Clock(), home / "cache" / "versions"
    return Kept(RemoteArtifacts(store, VersionCache(cache, cache_bytes, clock), clock), store, clock, cache)
