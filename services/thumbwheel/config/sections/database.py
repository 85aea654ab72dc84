"""The database of the store and the registry."""

from __future__ import annotations

from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import Field, field_validator, model_validator

from thumbwheel.config.paths import OptionalPath
from thumbwheel.config.sections.section import Section
from thumbwheel.errors import InvalidConfig

_PASSWORDS = {"password", "sslpassword"}  # where a database URL may hold one, besides before the host


class Database(Section):
    """The database of the store and the registry."""

    url: str = Field(
        "",
        description="PostgreSQL database, `postgresql+psycopg://USER@HOST:PORT/DATABASE`, without its password; "
        "empty: an SQLite file in the home.",
    )
    password_file: OptionalPath = Field(None, description="File that holds the password and nothing else.")

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
        """Return the URL with the password of the file: a secret. Raises InvalidConfig when it can not be read."""
        if self.password_file is None:
            return self.url
        try:
            password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{self.password_file} can not be read; mend its path or its rights"
            raise InvalidConfig("database.password_file", problem) from error
        parts = urlsplit(self.url)
        user, _, place = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()
