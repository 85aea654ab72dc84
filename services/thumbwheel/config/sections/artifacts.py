"""Where the files of versions live."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Bytes, Seconds


class Artifacts(Section):
    """Where the files of versions live."""

    url: str = Field(
        "",
        description="Store of the versions' files: `s3://BUCKET/PREFIX`, another store that fsspec has a package for, "
        "or a shared volume as `file:///FOLDER`; empty: a folder in the home. Credentials are never part of it: each "
        "backend finds them in its own environment variables and files (S3: `AWS_ACCESS_KEY_ID`, `~/.aws`, the "
        "machine's role).",
    )
    endpoint_url: str = Field(
        "", description="Address of a store that speaks S3 but is not Amazon's, `https://HOST:PORT`; empty: Amazon's."
    )
    timeout_s: Seconds = Field(
        10.0,
        ge=0.5,
        le=300,
        description="Seconds to wait for a connection to S3 or an answer; after four tries the store counts as away.",
    )
    cache_bytes: Bytes = Field(
        20 << 30,
        ge=0,
        description="Size of the folder in the home where versions from a remote store are kept, bytes. The least "
        "recently used go first, none that was fetched in the last 15 minutes.",
    )

    @field_validator("url")
    @classmethod
    def _names_a_place(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if not parts.scheme or "://" not in url:
            raise ValueError("must be SCHEME://PLACE, for example s3://BUCKET/PREFIX, or empty for the home")
        if parts.password is not None or parts.query or parts.fragment:
            raise ValueError("must be without credentials and options; the store's own environment and files have them")
        if parts.scheme == "file" and (parts.netloc or len(parts.path) < 2):
            raise ValueError("must name a whole path, for example file:///shared/versions")
        if parts.scheme != "file" and not parts.netloc:
            raise ValueError("must name a bucket, for example s3://BUCKET/PREFIX")
        return url.rstrip("/")

    @field_validator("endpoint_url")
    @classmethod
    def _of_http(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be https://HOST:PORT, or empty for Amazon's")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must be without credentials and options; the store's own environment and files have them")
        return url
