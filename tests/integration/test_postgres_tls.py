"""PostgreSQL through TLS: the right authority, another one, another address; and its limits by settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from certificates import Authority, authority
from postgres_server import PASSWORD, PostgresServer
from sqlalchemy import Engine, text

from thumbwheel.config.settings import Settings
from thumbwheel.database.copies import dump
from thumbwheel.database.engine import connect
from thumbwheel.database.transactions import reading
from thumbwheel.errors import InvalidConfig, Unavailable
from thumbwheel.store.sql import open_store


@pytest.fixture
def trusted(tmp_path: Path) -> Authority:
    return authority(tmp_path)


@contextmanager
def speaking_tls(server: PostgresServer, signer: Authority, folder: Path, address: str) -> Iterator[None]:
    """Let the server present a certificate for an address while the block runs."""
    paths = signer.sign(folder, address)
    for source in paths:
        target = server.data / source.name
        shutil.copy(source, target)
        target.chmod(0o600)
        shutil.chown(target, server.data.owner())
    try:
        with server.admin() as admin:
            admin.execute("ALTER SYSTEM SET ssl = on")
            admin.execute("SELECT pg_reload_conf()")
        yield
    finally:
        with server.admin() as admin:
            admin.execute("ALTER SYSTEM RESET ssl")
            admin.execute("SELECT pg_reload_conf()")


def encrypted(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")))


def settings_of(url: str, folder: Path, **more: object) -> Settings:
    file = folder / "password"
    file.write_text(PASSWORD)
    database = {"url": url.replace(f":{PASSWORD}", ""), "password_file": file, **more}
    return Settings.model_validate({"home": folder / "home", "database": database})


def test_with_the_right_authority_it_is_encrypted_and_backed_up(
    postgres: PostgresServer, postgres_url: str, trusted: Authority, tmp_path: Path
) -> None:
    with speaking_tls(postgres, trusted, tmp_path, "127.0.0.1"):
        settings = settings_of(f"{postgres_url}?sslmode=verify-full&sslrootcert={trusted.file}", tmp_path, pool_size=3)
        engine = connect(settings.database_url)
        assert encrypted(engine)
        with closing(open_store(settings.database_url)) as store:
            assert store.watermark() == 0
        dump(settings.database_url, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes()[:5] == b"PGDMP"
        engine.dispose()


@pytest.mark.parametrize("wrong", ["authority", "address", "no TLS"])
def test_any_other_server_is_refused_with_what_to_look_at(
    postgres: PostgresServer, postgres_url: str, trusted: Authority, tmp_path: Path, wrong: str
) -> None:
    address = "127.0.0.2" if wrong == "address" else "127.0.0.1"
    signer = authority(tmp_path, "stranger") if wrong == "authority" else trusted
    url = f"{postgres_url}?sslmode=verify-full&sslrootcert={trusted.file}"
    if wrong == "no TLS":
        with pytest.raises(Unavailable, match="sslmode and sslrootcert"):
            open_store(url)
        return
    with speaking_tls(postgres, signer, tmp_path, address):
        with pytest.raises(Unavailable, match="sslmode and sslrootcert") as refused:
            open_store(url)
        assert PASSWORD not in str(refused.value)
        with pytest.raises(Unavailable, match="pg_dump failed"):
            dump(url, tmp_path / "copy")


def test_limits_come_from_the_settings_and_the_url_wins(postgres_url: str, tmp_path: Path) -> None:
    settings = settings_of(postgres_url, tmp_path, pool_size=1, statement_timeout_s=7.5, connect_timeout_s=9)
    engine = connect(f"{settings.database_url}")
    with reading(engine) as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "7500ms"
        assert engine.pool.size() == 1  # type: ignore[attr-defined]
    engine.dispose()
    settings = settings_of(f"{postgres_url}?pool_size=4", tmp_path, pool_size=1)
    engine = connect(settings.database_url)
    assert engine.pool.size() == 4  # type: ignore[attr-defined]
    engine.dispose()
    with pytest.raises(InvalidConfig, match="pool_size is no number"):
        connect(f"{postgres_url}?pool_size=many")
