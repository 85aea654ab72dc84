"""The database's settings: where it is said, and that no password is said with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from thumbwheel.config.load import describe, load_settings
from thumbwheel.errors import InvalidConfig

URL = "postgresql+psycopg://ann@db.example:5433/votes?sslmode=verify-full"


def test_without_a_url_it_is_a_file_in_the_home(tmp_path: Path) -> None:
    settings = load_settings(None, {"home": str(tmp_path)}).settings
    assert settings.database_url == f"sqlite:///{tmp_path / 'store.sqlite'}"


def test_a_url_without_a_password_is_taken_as_it_is() -> None:
    assert load_settings(None, {"database.url": URL}).settings.database_url == URL


def test_the_password_comes_from_its_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3:c/r@t%20 \n")
    loaded = load_settings(None, {"database.url": URL, "database.password_file": str(file)})
    url = make_url(loaded.settings.database_url)
    assert (url.password, url.username, url.host, url.port) == ("s3:c/r@t%20 ", "ann", "db.example", 5433)
    assert (url.database, dict(url.query)) == ("votes", {"sslmode": "verify-full"})
    shown = str(describe(loaded)) + repr(loaded.settings) + loaded.settings.model_dump_json()
    assert "s3:c" not in shown and "s3%3A" not in shown


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql+psycopg://ann:s3cret@db/votes", "without a password"),
        ("postgresql+psycopg://ann@db/votes?password=s3cret", "without a password"),
        ("postgresql+psycopg://ann@db/votes?sslpassword=s3cret", "without a password"),
        ("mysql://ann:s3cret@db/votes", r"must begin with postgresql\+psycopg://"),
        ("sqlite:///s3cret", r"must begin with postgresql\+psycopg://"),
    ],
)
def test_another_url_is_refused_by_name_and_not_quoted(url: str, problem: str) -> None:
    with pytest.raises(InvalidConfig, match=rf"database\.url: .*{problem}") as refused:
        load_settings(None, {"database.url": url})
    assert "s3cret" not in str(refused.value)


def test_a_password_without_a_user_is_refused(tmp_path: Path) -> None:
    flags = {"database.url": "postgresql+psycopg://db/votes", "database.password_file": str(tmp_path)}
    with pytest.raises(InvalidConfig, match=r"password_file needs a user in database\.url"):
        load_settings(None, flags)


def test_an_unreadable_password_is_named(tmp_path: Path) -> None:
    flags = {"database.url": URL, "database.password_file": str(tmp_path / "nowhere")}
    settings = load_settings(None, flags).settings
    with pytest.raises(InvalidConfig, match=r"^database\.password_file: .*nowhere can not be read; mend"):
        _ = settings.database_url
