"""The database of the store and the registry."""

from __future__ import annotations

from typing import Self
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from pydantic import Field, field_validator, model_validator

from thumbwheel.config.paths import OptionalPath
from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Seconds
from thumbwheel.errors import InvalidConfig

_PASSWORDS = {"password", "sslpassword"}  # where a database URL may hold one, besides before the host


class Database(Section):
    """The database of the store and the registry."""

    url: str = Field(
        "",
        description="PostgreSQL database, `postgresql+psycopg://USER@HOST:PORT/DATABASE`, without its password; "
        "empty: an SQLite file in the home. With `?sslmode=verify-full&sslrootcert=FILE` behind it the connection is "
        "encrypted, and the server is who it says; without, neither is sure.",
    )
    password_file: OptionalPath = Field(None, description="File that holds the password and nothing else.")
    pool_size: Count = Field(
        10, ge=1, le=1_000, description="Connections to PostgreSQL a process opens at most, for each part of it."
    )
    connect_timeout_s: Seconds = Field(
        5.0, ge=2.0, le=300, description="Seconds to wait for a connection to PostgreSQL; it counts whole ones."
    )
    statement_timeout_s: Seconds = Field(
        60.0, ge=1.0, le=86_400, description="Seconds a statement may take at PostgreSQL before it is ended there."
    )

    @field_validator("url")
    @classmethod
    def _of_postgresql(cls, url: str) -> str:
        if not url:
            return url
        if not url.startswith("postgresql+psycopg://"):
            raise ValueError("must begin with postgresql+psycopg://, or be empty for SQLite in the home")
        parts = urlsplit(url)
        if parts.password is not None or _PASSWORDS & parse_qs(parts.query).keys():
            raise ValueError("must be without a password; write that into a file and name it in database.password_file")
        return url

    @model_validator(mode="after")
    def _password_of_somebody(self) -> Self:
        if self.password_file and not urlsplit(self.url).username:
            raise ValueError("password_file needs a user in database.url: postgresql+psycopg://USER@HOST:PORT/DATABASE")
        return self

    def with_password(self) -> str:
        """Return the URL with the password of the file: a secret. Raises InvalidConfig when it can not be read.

        The other settings are in it, too, but for what the URL says itself.
        """
        if self.password_file is None:
            return self._with_limits(self.url)
        try:
            password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{self.password_file} can not be read; mend its path or its rights"
            raise InvalidConfig("database.password_file", problem) from error
        parts = urlsplit(self.url)
        user, _, place = parts.netloc.rpartition("@")
        return self._with_limits(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl())

    def _with_limits(self, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        given = parse_qs(parts.query)
        limits = {
            "pool_size": ("pool_size", str(self.pool_size)),
            "connect_timeout_s": ("connect_timeout", str(round(self.connect_timeout_s))),
            "statement_timeout_s": ("statement_timeout_s", f"{self.statement_timeout_s:g}"),
        }
        chosen = (limit for field, limit in limits.items() if field in self.model_fields_set)
        added = urlencode([(name, value) for name, value in chosen if name not in given])
        return parts._replace(query="&".join(filter(None, (parts.query, added)))).geturl()
