import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from postgres_server import PASSWORD, PostgresServer
from sqlalchemy import URL, make_url

from thumbwheel.app.clock_check import ahead_of_postgres_s
from thumbwheel.app.doctor import examine
from thumbwheel.app.finding import Finding
from thumbwheel.app.learning import RunCopies
from thumbwheel.app.sharing_check import examine_sharing
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Artifacts, Settings
from thumbwheel.database.engine import connect
from thumbwheel.errors import Conflict
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion


def found(home: Path) -> dict[str, Finding]:
    return {one.check: one for one in examine(Settings(home=home))}


def make_home(home: Path, version: Path) -> None:
    home.mkdir(mode=0o700)
    version.mkdir()
    (version / "config.json").write_text("{}")
    (version / "model.safetensors").write_bytes(b"weights")
    registry = open_registry(Settings(home=home))
    made = registry.publish(NewVersion("topics", PolicyKind.CLASSIFY), version)
    registry.move("topics", Channel.CHAMPION, made.version, actor="test", reason="first")
    load_or_make_keys(Settings(home=home).keys_path, 0)


def test_a_sound_home_passes(tmp_path: Path) -> None:
    make_home(tmp_path / "home", tmp_path / "version")
    findings = found(tmp_path / "home")
    assert all(one.ok for one in findings.values()), findings
    assert findings["policy topics"].found == "champion v1, every file as published"


def test_a_home_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    assert found(tmp_path / "home")["home"].ok


def test_each_fault_is_found_with_its_cure(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home, tmp_path / "version")
    home.chmod(0o755)
    (home / "keys.json").chmod(0o644)
    [weights] = home.glob("versions/**/model.safetensors")
    weights.write_bytes(b"w3ights")
    findings = found(home)
    for check in ("home", "keys", "policy topics"):
        assert not findings[check].ok, check
        assert findings[check].cure, check
    assert findings["home"].cure == f"chmod 700 {home}"


def test_a_disk_that_has_less_room_than_the_log_may_take_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 30))

    def finding(gigabytes: int) -> Finding:
        settings = Settings.model_validate({"home": tmp_path, "log": {"max_bytes": gigabytes << 30}})
        return {one.check: one for one in examine(settings)}["disk"]

    assert finding(3).ok
    assert (finding(4).ok, "lower log.max_bytes" in finding(4).cure) == (False, True)
    with (tmp_path / "log.sqlite").open("wb") as log:
        log.truncate(1 << 30)
    assert finding(4).ok


def test_a_newer_schema_is_a_finding_not_a_crash(tmp_path: Path) -> None:
    import sqlite3

    home = tmp_path / "home"
    make_home(home, tmp_path / "version")
    with sqlite3.connect(home / "store.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = 'r9999'")
    database.close()
    finding = found(home)["database"]
    assert not finding.ok
    assert finding.cure.startswith("install the version that wrote it")


def test_an_empty_database_is_what_a_move_needs(tmp_path: Path, postgres: PostgresServer) -> None:
    home = tmp_path / "home"
    make_home(home, tmp_path / "version")
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    with postgres.database(empty=True) as url:
        database = {"url": url.replace(f":{PASSWORD}@", "@"), "password_file": password}
        findings = {one.check: one for one in examine(Settings.model_validate({"home": home, "database": database}))}
    assert findings["database"].ok
    assert findings["database"].found.startswith("is empty; `thumbwheel move`")
    assert not [one for one in findings if one.startswith("policy")]


def test_what_a_move_left_behind_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home, tmp_path / "version")
    assert "moved" not in found(home)
    (home / "store.sqlite.moved").write_bytes(b"texts")
    assert "`erase` refuses until it is removed" in found(home)["moved"].found


def test_where_a_move_left_texts_behind_nobody_can_be_erased(tmp_path: Path) -> None:
    copies = RunCopies(tmp_path / "runs")
    copies.demand_erasable()
    (tmp_path / "store.sqlite.moved").write_bytes(b"texts")
    with pytest.raises(Conflict, match=r"store\.sqlite\.moved still has the texts of users.*remove it"):
        copies.demand_erasable()


@pytest.mark.parametrize("home", ["/proc/nope", "{file}", "{file}/home"])
def test_a_home_that_can_not_be_made_is_a_finding(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").touch()
    finding = found(Path(home.format(file=tmp_path / "file")))["home"]
    assert (finding.ok, "--home" in finding.cure) == (False, True)


def test_looking_whether_a_home_can_be_made_makes_nothing(tmp_path: Path) -> None:
    assert found(tmp_path / "deep" / "home")["home"].ok
    assert list(tmp_path.iterdir()) == []


def test_the_clock_of_a_database_server_is_compared(postgres_url: str, tmp_path: Path) -> None:
    engine = connect(postgres_url)
    try:
        assert abs(ahead_of_postgres_s(engine)) < 2.0
    finally:
        engine.dispose()
    url, password_file = make_url(postgres_url), tmp_path / "password"
    password_file.write_text(str(url.password))
    password_file.chmod(0o600)
    bare = URL.create(url.drivername, url.username, host=url.host, port=url.port, database=url.database)
    database = {"url": bare.render_as_string(), "password_file": password_file}
    settings = Settings.model_validate({"home": tmp_path / "home", "database": database})
    finding = {one.check: one for one in examine(settings)}["database clock"]
    assert (finding.ok, finding.cure) == (True, "")


def test_a_shared_volume_is_tried_where_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    settings = Settings(home=tmp_path / "home", artifacts=Artifacts(url=shared.as_uri()))

    def finding() -> Finding:
        [one] = [one for one in examine(settings) if one.check == "artifacts"]
        return one

    assert (finding().ok, finding().cure) == (False, "mount the volume, or make the folder")
    shared.mkdir()
    assert finding().ok and list(shared.iterdir()) == []
    assert "artifacts" not in {one.check for one in examine(Settings(home=tmp_path / "home"))}


def test_a_key_file_that_processes_should_share_is_missed(tmp_path: Path) -> None:
    shared = {"keys_file": tmp_path / "keys.json"}
    settings = Settings.model_validate({"home": tmp_path / "home", "feedback": shared})
    finding = {one.check: one for one in examine(settings)}["keys"]
    assert (finding.ok, "`thumbwheel keys create`" in finding.cure) == (False, True)
    load_or_make_keys(tmp_path / "keys.json", 1)
    assert {one.check: one for one in examine(settings)}["keys"].found == "1 token key"
    assert "keys" not in {one.check for one in examine(Settings(home=tmp_path / "home"))}


def test_what_only_processes_on_this_home_have_is_told(tmp_path: Path) -> None:
    kafka = {"bootstrap_servers": "127.0.0.1:1"}
    given: dict[str, object] = {"home": tmp_path, "log": {"kind": "kafka"}, "kafka": kafka}
    [finding] = examine_sharing(Settings.model_validate(given))
    assert finding.ok and "the store (database.url), versions" in finding.found
    given["database"] = {"url": "postgresql+psycopg://me@db/votes"}
    given["feedback"] = {"keys_file": tmp_path / "keys.json"}
    [finding] = examine_sharing(Settings.model_validate(given))
    assert finding.found == "only processes on this home have versions and reports (artifacts.url)"
    given["artifacts"] = {"url": "s3://bucket"}
    [finding] = examine_sharing(Settings.model_validate(given))
    assert finding.found.startswith("all that processes")
    assert list(examine_sharing(Settings(home=tmp_path))) == []


def test_a_door_behind_the_pages_that_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    settings = Settings.model_validate({"home": tmp_path, "web": {"address": "127.0.0.1:1"}})
    [finding] = examine_sharing(settings)
    assert (finding.check, finding.ok) == ("serve", False)
