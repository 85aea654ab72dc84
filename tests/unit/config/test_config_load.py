"""Settings: precedence, origins, and errors that name field, limit and cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from thumbwheel.config.load import DEFAULT, Loaded, allowed, describe, load_settings, walk
from thumbwheel.config.settings import Settings
from thumbwheel.config.units import Unit
from thumbwheel.errors import InvalidConfig


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from outside: an empty home and working folder, no variables."""
    import os

    for variable in list(os.environ):
        if variable.startswith("THUMBWHEEL_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load_settings(None, {})
    assert loaded.settings.home == tmp_path / "user" / ".thumbwheel"
    assert loaded.settings.classify.probability_floor == 0.02
    assert set(loaded.origins.values()) == {DEFAULT}
    assert set(loaded.origins) == {name for name, _ in walk(Settings)}


def test_flags_beat_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[serve]\nport = 1\nadmin_port = 1\nweb_port = 1\n")
    monkeypatch.setenv("THUMBWHEEL_SERVE__PORT", "2")
    monkeypatch.setenv("THUMBWHEEL_SERVE__ADMIN_PORT", "2")
    loaded = load_settings(file, {"serve.port": "3"})
    serve = loaded.settings.serve
    assert (serve.port, serve.admin_port, serve.web_port, serve.host) == (3, 2, 1, "127.0.0.1")
    assert loaded.origins["serve.port"] == "flag"
    assert loaded.origins["serve.admin_port"] == "environment THUMBWHEEL_SERVE__ADMIN_PORT"
    assert loaded.origins["serve.web_port"] == f"file {file}"
    assert loaded.origins["serve.host"] == DEFAULT


def test_texts_become_the_fields_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_TELEMETRY__LOG_USER_TEXT", "true")
    monkeypatch.setenv("THUMBWHEEL_HOME", "~/elsewhere")
    settings = load_settings(None, {"classify.probability_floor": "0.5", "gates.blocked_words": ""}).settings
    assert settings.telemetry.log_user_text is True
    assert settings.home == Path.home() / "elsewhere"
    assert settings.classify.probability_floor == 0.5
    assert settings.gates.blocked_words is None


@pytest.mark.parametrize("by", ["flag", "environment", "file"])
def test_the_home_must_be_named(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if by == "environment":
        monkeypatch.setenv("THUMBWHEEL_HOME", "")
    if by == "file":
        (tmp_path / "thumbwheel.toml").write_text('home = ""\n')
    with pytest.raises(InvalidConfig, match=r"[hH](ome|OME): is empty; name a folder, or leave it out"):
        load_settings(None, {"home": ""} if by == "flag" else {})


def test_the_file_is_found_where_it_is_named_or_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, port: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"serve.port = {port}\n")

    write(tmp_path / "home" / "thumbwheel.toml", 1)
    assert load_settings(None, {"home": str(tmp_path / "home")}).settings.serve.port == 1
    write(tmp_path / "thumbwheel.toml", 2)
    assert load_settings(None, {"home": str(tmp_path / "home")}).settings.serve.port == 2
    write(tmp_path / "named.toml", 3)
    monkeypatch.setenv("THUMBWHEEL_CONFIG", str(tmp_path / "named.toml"))
    assert load_settings(None, {}).settings.serve.port == 3
    write(tmp_path / "given.toml", 4)
    assert load_settings(tmp_path / "given.toml", {}).settings.serve.port == 4


@pytest.mark.parametrize(
    ("content", "field", "problem"),
    [
        ("[clasify]\nmode='argmax'", "clasify.mode", "is not a setting; did you mean classify.mode?"),
        ("serve.prot = 1", "serve.prot", "is not a setting; did you mean serve.port?"),
        ("zzz = 1", "zzz", "is not a setting; `thumbwheel config show` lists them all"),
        ("serve.port = 70000", "serve.port", "must be 0 to 65,535, got 70000"),
        ("serve.drain_s = -1", "serve.drain_s", "must be 0 to 600 seconds, got -1"),
        ("serve = 3", "serve", "is not a setting; did you mean serve.port?"),
        ("serve.port = 'x'", "serve.port", "must be 0 to 65,535, got 'x'"),
        ("classify.mode = 'best'", "classify.mode", "must be sample or argmax, got 'best'"),
        ("classify.probability_floor = nan", "classify.probability_floor", "must be 0.0 to 0.5, got nan"),
        ("schedule.cron = '61 * * * *'", "schedule.cron", "must be a cron expression of five fields"),
        ("schedule.min_new_votes_of = 'desk'", "schedule.min_new_votes_of", "policies with whole numbers"),
        ("schedule.min_new_votes_of = 'desk=-1'", "schedule.min_new_votes_of", "got `desk=-1`"),
        ("schedule.cron = '* * * * * *'", "schedule.cron", "must be a cron expression of five fields"),
        ("gates.blocked_words = 3", "gates.blocked_words", "must be path or empty, got 3"),
        ("generate.max_new_tokens = 8", "generate", "default_new_tokens must be at most max_new_tokens, 8"),
    ],
)
def test_a_wrong_file_is_refused_by_field_limit_and_cure(
    content: str, field: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "my.toml"
    file.write_text(content)
    with pytest.raises(InvalidConfig, match=re.escape(problem)) as caught:
        load_settings(file, {})
    assert caught.value.field.removeprefix(f"{file}: ") == field


def test_an_unknown_variable_unlike_any_other_gets_no_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_FOO", "1")
    with pytest.raises(InvalidConfig, match="^THUMBWHEEL_FOO: is not a setting; `thumbwheel config show` lists them"):
        load_settings(None, {})


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_SERVE__PROT", "1")
    message = "THUMBWHEEL_SERVE__PROT: is not a setting; did you mean THUMBWHEEL_SERVE__PORT?"
    with pytest.raises(InvalidConfig, match=re.escape(message)):
        load_settings(None, {})


def test_a_variable_out_of_range_is_named_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_INGEST__BATCH", "0")
    with pytest.raises(InvalidConfig, match=r"^THUMBWHEEL_INGEST__BATCH: must be 1 to 10,000, got '0'$"):
        load_settings(None, {})


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"^--set ingest.batches: is not a setting; did you mean ingest.batch\?$"):
        load_settings(None, {"ingest.batches": "1"})


def test_everything_that_is_wrong_is_told_at_once_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my.toml"
    file.write_text("serve.port = 70000\ngenerate.max_new_tokens = 8\n[clasify]\nmode = 'argmax'\n")
    monkeypatch.setenv("THUMBWHEEL_INGEST__BATCH", "0")
    monkeypatch.setenv("THUMBWHEEL_SERVE__PROT", "1")
    with pytest.raises(InvalidConfig) as caught:
        load_settings(file, {"classify.mode": "best", "serv.port": "3"})
    head, *told = str(caught.value).splitlines()
    assert head == "7 settings are wrong:"
    assert set(told) == {
        "  THUMBWHEEL_SERVE__PROT: is not a setting; did you mean THUMBWHEEL_SERVE__PORT?",
        "  --set serv.port: is not a setting; did you mean serve.port?",
        f"  {file}: clasify.mode: is not a setting; did you mean classify.mode?",
        f"  {file}: serve.port: must be 0 to 65,535, got 70000",
        "  THUMBWHEEL_INGEST__BATCH: must be 1 to 10,000, got '0'",
        "  --set classify.mode: must be sample or argmax, got 'best'",
        f"  generate: default_new_tokens must be at most max_new_tokens, 8; set by {file}: generate.max_new_tokens",
    }


def test_a_file_that_can_not_be_read_hides_no_wrong_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_INGEST__BATCH", "0")
    with pytest.raises(InvalidConfig, match=r"(?s)2 settings are wrong:.*can't be read.*INGEST__BATCH: must be"):
        load_settings(tmp_path / "absent.toml", {})


def test_a_file_of_nonsense_is_told_in_part() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_settings(None, {f"nonsense.{number}": "" for number in range(50)})
    lines = str(caught.value).splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("50 settings are wrong:", 22, "  and 30 more")


def test_variables_of_a_kubernetes_service_of_that_name_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_PORT", "tcp://10.0.0.1:7070")
    monkeypatch.setenv("THUMBWHEEL_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("THUMBWHEEL_SERVICE_PORT_GRPC", "7070")
    monkeypatch.setenv("THUMBWHEEL_PORT_7070_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("THUMBWHEEL_ADMIN_SERVICE_PORT", "7071")
    assert set(load_settings(None, {}).origins.values()) == {DEFAULT}
    monkeypatch.setenv("THUMBWHEEL_PORT", "7070")
    with pytest.raises(InvalidConfig, match="did you mean"):
        load_settings(None, {})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read"),
        (b"serve.port =", "is not TOML"),
        (b"a = 1\n\xff", ": line 2 is not UTF-8: save the file as UTF-8$"),
    ],
)
def test_an_unreadable_file_is_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidConfig, match=problem):
        load_settings(file, {})


def test_every_setting_is_described_and_every_number_has_a_unit_and_a_range() -> None:
    for name, field in walk(Settings):
        assert field.description and field.description.endswith("."), name
        if field.annotation in (int, float):
            assert any(isinstance(entry, Unit) for entry in field.metadata), name
            assert any(character.isdigit() for character in allowed(field)), name


def test_the_table_shows_value_unit_range_and_origin() -> None:
    rows = {row.field: row for row in describe(load_settings(None, {"serve.drain_s": "5"}))}
    drain = rows["serve.drain_s"]
    assert (drain.value, drain.unit, drain.range, drain.origin) == ("5.0", "seconds", "0 to 600", "flag")
    assert rows["gates.max_kl"].range == "above 0 to 100"
    assert rows["gates.blocked_words"].range == "path or empty"
    assert rows["log.max_bytes"].range == "from 1,048,576"
    assert rows["telemetry.log_user_text"].value == "false"
    assert rows["classify.mode"].range == "sample or argmax"


def test_secrets_are_hidden() -> None:
    class WithSecret(Settings):
        password: SecretStr = SecretStr("hunter2")

    settings = WithSecret()
    rows = describe(Loaded(settings, {name: DEFAULT for name, _ in walk(WithSecret)}))
    assert [row.value for row in rows if row.field == "password"] == ["(hidden)"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serve]\nport = true", "serve.port: must be 0 to 65,535, got True"),
        ("[canary]\nshare = false", "canary.share: must be"),
        ("[telemetry]\nlog_user_text = 1", ""),
    ],
)
def test_truth_is_no_number(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    if not said:
        load_settings(file, {})
        return
    with pytest.raises(InvalidConfig, match=said):
        load_settings(file, {})
