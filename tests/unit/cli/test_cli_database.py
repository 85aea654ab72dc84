"""`thumbwheel database`, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from postgres_server import PASSWORD, PostgresServer
from sqlalchemy import inspect

from thumbwheel import errors
from thumbwheel.app.home import Home
from thumbwheel.app.schema import losses, schema_of, upgrade
from thumbwheel.cli.main import group
from thumbwheel.config.settings import Settings
from thumbwheel.database import migrate
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import HEAD, revisions

OLDER = "0002"


@pytest.fixture(params=["sqlite", "postgresql"])
def flags(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Options that name an empty database."""
    here = ["--home", str(tmp_path / "home")]
    if request.param == "sqlite":
        yield here
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    with server.database(empty=True) as url:
        place = url.replace(f":{PASSWORD}@", "@")
        yield [*here, "--set", f"database.url={place}", "--set", f"database.password_file={tmp_path / 'password'}"]


def run(flags: list[str], *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(group, [*flags, "database", *words], input=typed)


def shown(flags: list[str]) -> tuple[int, str]:
    result = run(flags, "show", "--json")
    return result.exit_code, json.loads(result.stdout)["schema"]


def test_up_and_down_and_up_again(flags: list[str], tmp_path: Path) -> None:
    assert shown(flags) == (1, "")
    assert not (tmp_path / "home" / "store.sqlite").exists()  # looking makes nothing
    assert run(flags, "upgrade").stdout == f"the database has schema {HEAD} now, it had none\n"
    assert run(flags, "upgrade").stdout == f"the database has schema {HEAD} already\n"
    assert shown(flags) == (0, HEAD)
    down = run(flags, "downgrade", OLDER, "--yes")
    assert down.exit_code == 0, down.output
    assert down.stdout.startswith(f"the database has schema {OLDER} now, it had {HEAD}\n")
    newest_first = [one.revision for one in reversed(revisions()) if one.revision > OLDER]
    told = [line.split(":")[0] for line in down.stderr.splitlines() if line.startswith("lost with ")]
    assert told == [f"lost with {revision}" for revision in newest_first]
    assert shown(flags) == (1, OLDER)
    assert json.loads(run(flags, "upgrade", "--json").stdout) == {"before": OLDER, "schema": HEAD}
    assert run(flags, "downgrade", "none", "--yes").exit_code == 0
    assert shown(flags) == (1, "")


def test_it_asks_before_it_loses_anything(flags: list[str]) -> None:
    run(flags, "upgrade")
    for typed in ("", "n\n"):
        assert run(flags, "downgrade", OLDER, typed=typed).exit_code == 1
        assert shown(flags) == (0, HEAD)
    result = run(flags, "downgrade", OLDER, typed="y\n")
    assert result.exit_code == 0 and shown(flags) == (1, OLDER)
    assert "the keys that open users' events in Kafka" in result.stderr


def test_where_it_can_not_go_it_says_where_it_can(flags: list[str]) -> None:
    run(flags, "upgrade")
    wrong = run(flags, "downgrade", "9999", "--yes").exception
    assert isinstance(wrong, errors.InvalidInput) and "0001, 0002" in str(wrong)
    same = run(flags, "downgrade", HEAD, "--yes").exception
    assert isinstance(same, errors.Conflict) and "database upgrade" in str(same)


def test_a_homes_own_is_left_alone_while_something_runs_on_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    upgrade(settings)
    with Home(tmp_path):
        for words in (["upgrade"], ["downgrade", OLDER, "--yes"]):
            assert isinstance(run(["--home", str(tmp_path)], *words).exception, errors.HomeInUse)
    assert schema_of(settings).found == HEAD


def test_a_newer_releases_is_shown_and_not_touched(tmp_path: Path) -> None:
    flags, settings = ["--home", str(tmp_path)], Settings(home=tmp_path)
    upgrade(settings)
    engine = connect(settings.database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9000'")
    assert "schema 9000, of a newer release" in run(flags, "show").stdout
    with pytest.raises(errors.Conflict, match="newer than this release's"):
        losses(schema_of(settings), OLDER)
    assert isinstance(run(flags, "upgrade").exception, errors.SchemaMismatch)
    assert "user_keys" in inspect(engine).get_table_names()
    engine.dispose()


def test_every_revision_says_what_goes_with_it() -> None:
    found = {one.revision: one.lost for one in migrate.revisions()}
    assert list(found)[0] == "0001" and list(found)[-1] == HEAD
    assert found["0001"].startswith("everything")
    assert found["0002"].startswith("the audit trail")
    assert all(found.values())
