"""The commands that README and docs name exist, their options parse, and the quick ones do what they say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from live_service import TOPICS, running
from tiny_policy import tiny_policy

from thumbwheel.cli.main import group
from thumbwheel.policy.loading import save_causal

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def lines() -> list[str]:
    """The shell lines of all pages: indented, without a comment."""
    return [line.strip() for page in PAGES for line in page.read_text().splitlines() if re.match(r" {4}\S", line)]


def mentioned(program: str) -> list[str]:
    """Commands named in running text, in backticks."""
    return sorted({one for page in PAGES for one in re.findall(rf"`({program} [^`]+)`", page.read_text())})


def of_readme(*start: str) -> list[str]:
    """The one shell line that begins so, without the program's name."""
    [words] = [words for words in map(shlex.split, story()) if words[1 : 1 + len(start)] == list(start)]
    return words[1:]


def story() -> list[str]:
    return [line for line in lines() if line.startswith("thumbwheel ")]


def parse(line: str) -> None:
    """Parse as the program does, down to the last command, without running it. Where its output goes is the shell's."""
    words = shlex.split(line.partition(" > ")[0], comments=True)
    command: click.Command | None = group
    name, context, rest = words[0], None, words[1:]
    while command is not None:
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, click.Group):
            return
        found, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        name = found or ""


@pytest.fixture(autouse=True)
def among_the_files_that_pages_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in story():
        for name in re.findall(r"\S+\.toml", line):
            (tmp_path / name).touch()
    (tmp_path / "FOLDER").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", story())
def test_a_line_of_the_pages_parses(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("line", mentioned("thumbwheel"))
def test_a_command_named_in_passing_exists(line: str) -> None:
    # neither its arguments nor the commands of a group are the point there; unknown ones are still refused
    with suppress(click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        parse(line)


@pytest.mark.parametrize("line", mentioned("make") + [line for line in lines() if line.startswith("make ")])
def test_a_target_of_make_exists(line: str) -> None:
    words = shlex.split(line, comments=True)
    done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_files_that_installing_names_are_there() -> None:
    named = [file for line in lines() for file in re.findall(r"(?:-r|-c) (\S+)", line)]
    assert len(named) >= 3
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_there_is_something_to_test() -> None:
    assert len(story()) >= 9
    assert len(mentioned("make")) >= 5


@pytest.mark.parametrize(
    "command",
    ["ask", "vote", "status", "retrain", "runs", "versions", "promote", "rollback", "erase", "doctor", "config show"],
)
def test_readme_shows_how_to_use_it_and_operate_it(command: str) -> None:
    assert re.search(rf"^ {{4}}thumbwheel {command}\b", PAGES[0].read_text(), re.MULTILINE)


def test_readme_activates_the_environment_in_every_terminal_that_it_opens() -> None:
    first, _, rest = PAGES[0].read_text().partition("    . .venv/bin/activate\n")
    assert re.findall(r"(?m)^ {4}(?:thumbwheel .*)$|`thumbwheel .*`", first) == []
    [line] = re.findall(r"(?m)^ {4}\.venv/bin/(thumbwheel .*)$", first)
    parse(line)
    _, _, another = rest.partition("In another terminal")
    assert another.split("\n\n")[1].startswith("    . .venv/bin/activate\n")


def test_making_the_environment_says_how_much_it_fetches() -> None:
    made = ["make", "env", "--dry-run", "--always-make"]
    [said, *_] = [line for line in subprocess.check_output(made, cwd=ROOT, text=True).splitlines() if "echo" in line]
    assert "about 6 GB" in said and "about 6 GB" in PAGES[0].read_text()
    [section] = re.findall(r'README.md, "(.*?)"', said)
    assert f"## {section}\n" in PAGES[0].read_text()


def test_what_readme_lets_a_shell_evaluate_parses() -> None:
    [line] = re.findall(r'^ {4}eval "\$\((.+)\)"$', PAGES[0].read_text(), re.MULTILINE)
    assert line == "thumbwheel completion bash"
    parse(line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    rows = [{"text": text, "label": label} for label, texts in TOPICS.items() for text in texts]
    (folder / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save_causal(tiny_policy(), folder / "my-model")
    return folder


def run(folder: Path, *words: str, status: int = 0) -> str:
    """Run the program as README does, on a home of its own; return what it said."""
    command = [sys.executable, "-m", "thumbwheel.cli", "--home", "home", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Path]:
    """The first policies made and the service up, by README's own lines."""
    run(folder, *of_readme("policy", "init", "support"))
    run(folder, *of_readme("policy", "init", "reply", "--kind", "generate", "--from"))
    with running(folder / "home", *of_readme("--set")):
        yield folder


@pytest.mark.slow
def test_the_story_of_readme_can_be_lived(service: Path) -> None:
    answer = run(service, *of_readme("ask"))
    assert any(label in answer for label in TOPICS)
    assert "counted" in run(service, *of_readme("vote"))
    shown = run(service, *of_readme("status"))
    assert "support" in shown and "reply" in shown
    refused = run(service, *of_readme("retrain", "support"), status=4)
    assert re.search(r"support: . votes? to learn from, it takes 150; wait for more votes", refused)
    assert run(service, *of_readme("runs")) == "no runs yet\n"
    assert "v1" in run(service, *of_readme("versions", "support"))
    assert "no version 'v2'" in run(service, *of_readme("promote"), status=3)
    assert "no champion before v1" in run(service, *of_readme("rollback"), status=4)
    assert "erased: 1 answer, 1 vote" in run(service, *of_readme("erase"), "--yes")
    assert "check the id" in run(service, *of_readme("erase"), "--yes")
    assert "classify.mode" in run(service, *of_readme("config", "show"))
