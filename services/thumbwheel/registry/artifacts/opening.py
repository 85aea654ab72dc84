"""The place for versions that the settings choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from thumbwheel.config.settings import Artifacts as ArtifactSettings
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.artifacts.port import Artifacts

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from thumbwheel.registry.artifacts.remote import RemoteStore

_S3 = ("s3", "s3a")


def open_artifacts(settings: Settings) -> Artifacts:
    """Open the store of `artifacts.url`. It is not asked for anything yet, so it may be away.

    Raises InvalidConfig when the URL's scheme is unknown or needs a package that is missing.
    """
    url = urlsplit(settings.artifacts.url)
    if not url.scheme:
        return LocalArtifacts(settings.versions_dir)
    if url.scheme == "file":
        return LocalArtifacts(Path(unquote(url.path)), mounted=True)
    from thumbwheel.registry.artifacts.cache import VersionCache
    from thumbwheel.registry.artifacts.remote import RemoteArtifacts

    cache = VersionCache(settings.versions_cache_dir, settings.artifacts.cache_bytes)
    return RemoteArtifacts(open_store(settings.artifacts), cache)


def open_store(section: ArtifactSettings) -> RemoteStore:
    """Open a remote store through fsspec, which takes credentials and further options from its backend's own sources.

    Raises InvalidConfig.
    """
    from thumbwheel.registry.artifacts.remote import RemoteStore

    try:
        filesystem, root = _filesystem(section)
    except ImportError as error:
        raise InvalidConfig("artifacts.url", f"{error}; for S3: pip install 'thumbwheel[s3]'") from error
    except ValueError as error:
        raise InvalidConfig("artifacts.url", "no store is known by its scheme; S3's is s3://BUCKET/PREFIX") from error
    return RemoteStore(filesystem, root, section.url)


def _filesystem(section: ArtifactSettings) -> tuple[AbstractFileSystem, str]:
    # Nothing is kept between calls: another process publishes too, and connections belong to who opened them.
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}
    if urlsplit(section.url).scheme in _S3:
        from thumbwheel.registry.artifacts.s3 import PatientS3, options

        return PatientS3(**options(section.endpoint_url, section.timeout_s), **fresh), section.url.partition("://")[2]
    from fsspec import url_to_fs

    folders = {"auto_mkdir": True} if urlsplit(section.url).scheme == "file" else {}
    filesystem, root = url_to_fs(section.url, **folders, **fresh)
    return filesystem, root
