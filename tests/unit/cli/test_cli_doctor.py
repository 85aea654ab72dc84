"""`thumbwheel doctor` as people and scripts read it, and that its cures name what exists."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import thumbwheel.app as app
from thumbwheel.app import doctor as checks
from thumbwheel.app.finding import Finding
from thumbwheel.app.secrets_check import examine_secrets
from thumbwheel.cli.main import COMMANDS, group
from thumbwheel.config.settings import Database, Kafka, Settings

LONG = "a long story of many words " * 12
FINDINGS = [
    Finding("torch", True, "2.13.0"),
    Finding("password", True, "can be read", "chmod 600 password", warning=True),
    Finding("kafka", False, LONG, "start it"),
    Finding("topic thumbwheel.requests", False, "is missing", "make it"),
]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the checks find."""
    findings = list(FINDINGS)
    monkeypatch.setattr(checks, "examine", lambda settings: findings)
    return findings


def test_piped_it_is_a_line_a_check_and_ends_with_a_summary(found: list[Finding]) -> None:
    result = CliRunner().invoke(group, ["doctor"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    name = len("topic thumbwheel.requests")
    assert lines == [
        f"ok       {'torch':{name}}  2.13.0",
        f"warning  {'password':{name}}  can be read",
        f"{'':{11 + name}}mend: chmod 600 password",
        f"problem  {'kafka':{name}}  {LONG.strip()}",
        f"{'':{11 + name}}mend: start it",
        "problem  topic thumbwheel.requests  is missing",
        f"{'':{11 + name}}mend: make it",
        "2 problems, 1 warning",
    ]


def test_a_warning_is_no_failure_and_all_well_is_said(found: list[Finding]) -> None:
    del found[2:]
    result = CliRunner().invoke(group, ["doctor"])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 warning")
    del found[1:]
    result = CliRunner().invoke(group, ["doctor"])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "all is well: 1 check")


def test_on_a_terminal_no_line_is_wider_than_it(found: list[Finding]) -> None:
    from thumbwheel.cli.doctor import _lines

    lines = [click.unstyle(line) for line in _lines(found, 60)]
    assert max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines).split()).count("a long story of many words") == 12


def test_scripts_get_the_level_of_each(found: list[Finding]) -> None:
    result = CliRunner().invoke(group, ["doctor", "--json"])
    rows = json.loads(result.stdout)
    assert [(row["ok"], row["level"]) for row in rows] == [
        (True, "ok"),
        (True, "warning"),
        (False, "problem"),
        (False, "problem"),
    ]
    assert rows[1]["cure"] == "chmod 600 password"
    assert result.exit_code == 1


@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o640, "ok"), (0o604, "warning"), (0o644, "warning")])
def test_a_password_that_every_user_can_read_is_warned_of(mode: int, level: str, tmp_path: Path) -> None:
    for name in ("database", "kafka"):
        (tmp_path / name).write_text("secret")
        (tmp_path / name).chmod(mode)
    settings = Settings(
        database=Database(url="postgresql+psycopg://me@db/t", password_file=tmp_path / "database"),
        kafka=Kafka(sasl_user="me", sasl_password_file=tmp_path / "kafka"),
    )
    findings = list(examine_secrets(settings))
    assert [(one.level, one.ok) for one in findings] == [(level, True)] * 2
    assert "database.password_file" in findings[0].found and "kafka.sasl_password_file" in findings[1].found
    assert findings[1].cure == (f"chmod 600 {tmp_path}/kafka" if level == "warning" else "")


def test_a_password_file_that_is_not_there_is_another_checks(tmp_path: Path) -> None:
    database = Database(url="postgresql+psycopg://me@db/t", password_file=tmp_path / "none")
    assert list(examine_secrets(Settings(database=database))) == []


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the code that a cure may come from: file, text."""
    services = Path(app.__path__[0]).parent
    for folder in ("app", "bus", "config", "database", "feedback", "registry", "store"):
        for path in (services / folder).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            unsaid = [node.value for node in nodes if isinstance(node, ast.Expr)]  # docstrings
            for node in nodes:
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in unsaid:
                    yield path.name, node.value


def exists(words: list[str]) -> bool:
    """Whether these words after `thumbwheel` begin with a command, and with one of its own where it is a group."""
    command = group.get_command(click.Context(group), words[0])
    if isinstance(command, click.Group):
        return len(words) == 1 or words[1] in command.commands or words[1][0] in "-<ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return command is not None


def test_cures_name_commands_and_settings_that_exist() -> None:
    sections = {name: set(type(section).model_fields) for name, section in Settings() if name != "home"}
    commands, settings = 0, 0
    for file, text in texts():
        for said in re.findall(r"(?:`|: )thumbwheel ((?:[a-z]+ ?)+)", text):
            commands += 1
            assert exists(said.split()), f"{file}: thumbwheel {said}"
        for section, field in re.findall(r"(?<![\w./-])([a-z]+)\.([a-z_]+)\b(?!\.[a-z])", text):
            if section in sections and field not in ("sqlite", "dump"):
                settings += 1
                assert field in sections[section], f"{file}: {section}.{field}"
    assert commands > 5 and settings > 30
    assert not exists(["mend"]) and not exists(["topics", "mend"]) and exists(["topics", "create"])
    assert set(COMMANDS) >= {"move", "database"}
