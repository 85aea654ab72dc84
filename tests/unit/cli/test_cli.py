"""The command line against a service in memory; only what `cli/` itself adds is tested here."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demo_service import HELPDESK, TOPICS, DemoService

from thumbwheel.cli.main import COMMANDS, main

Run = Callable[..., "Result"]


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture(scope="module")
def service() -> Iterator[DemoService]:
    running = DemoService.start()
    yield running
    running.stop()


@pytest.fixture
def run(
    service: DemoService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    service.world.reset()
    doors = ["--home", str(tmp_path), "--address", service.target, "--admin-address", service.target]

    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *doors, *arguments])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        said = capsys.readouterr()
        return Result(status, said.out, said.err)

    return call


def test_ask_then_vote_on_the_last_answer(run: Run, service: DemoService, tmp_path: Path) -> None:
    asked = run("ask", "my delivery", "--policy", TOPICS, "--user", "ann", "--json")
    assert json.loads(asked.out)["label"] == "delivery"
    assert stat.S_IMODE((tmp_path / "last_answer.json").stat().st_mode) == 0o600
    assert run("vote", "up").out == "counted\n"
    assert run("vote", "4").status == 0
    assert run("vote", "--retract", "thumb").out == "taken back\n"
    never = run("vote", "--retract", "edit")
    assert (never.status, "no vote of this kind" in never.err) == (3, True)


def test_a_correction_is_a_label_or_a_text_by_the_kind(run: Run, service: DemoService) -> None:
    run("ask", "my delivery", "--policy", TOPICS)
    assert run("vote", "--correct", "refund").status == 0
    run("ask", "hello", "--policy", HELPDESK)
    assert run("vote", "--correct", "good day").status == 0
    edits = [vote.edit for vote in service.world.votes.values() if vote.edit]
    assert {(edit.label, edit.text) for edit in edits} == {("refund", ""), ("", "good day")}


def test_a_generated_answer_is_streamed_and_json_is_whole(run: Run) -> None:
    streamed = run("ask", "where is it", "--policy", HELPDESK)
    whole = run("ask", "where is it", "--policy", HELPDESK, "--json")
    assert streamed.out.strip() == json.loads(whole.out)["text"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ask", "x"], 2, "choose one with --policy"),
        (["ask", "x", "--policy", "nobody"], 3, "nobody"),
        (["vote", "up"], 4, "ask first"),
        (["vote"], 2, "exactly one of"),
        (["vote", "maybe"], 2, "up, down, or 1 to 5"),
        (["versions", "nobody"], 3, "nobody"),
        (["runs", "nothing"], 3, "nothing"),
        (["promote", TOPICS, "v1"], 2, "--reason"),
        (["nonsense"], 2, "nonsense"),
        (["--set", "serve.port=70000", "config", "show"], 2, "serve.port"),
        (["--set", "serve.prt=1", "config", "show"], 2, "serve.port"),
        (["--set", "noequals", "config", "show"], 2, "NAME=VALUE"),
    ],
)
def test_errors_are_one_clear_line_and_an_exit_code(run: Run, arguments: list[str], status: int, said: str) -> None:
    result = run(*arguments)
    assert result.status == status
    assert said in result.err
    assert "Traceback" not in result.err


def test_a_service_that_is_not_there_is_said_so(run: Run) -> None:
    result = run("--admin-address", "127.0.0.1:1", "status")
    assert result.status == 69
    assert "thumbwheel up" in result.err


@pytest.mark.parametrize(
    "arguments",
    [["versions"], ["versions", TOPICS, "--history"], ["runs"], ["status"], ["config", "show"], ["doctor"]],
)
def test_tables_for_people_are_json_for_scripts(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).out.strip()
    assert json.loads(run(*arguments, "--json").out)


def test_operators_commands_move_the_champion(run: Run, service: DemoService) -> None:
    before = service.world.champion(TOPICS)
    moved = run("rollback", TOPICS, "--reason", "complaints", "--json")
    assert json.loads(moved.out)[0]["was"] == before
    assert service.world.champion(TOPICS) != before
    assert run("promote", TOPICS, before, "--reason", "it was fine").status == 0
    assert service.world.champion(TOPICS) == before


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_itself(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.status == 0
    assert "Usage: thumbwheel" in result.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: Run, shell: str) -> None:
    assert "_THUMBWHEEL_COMPLETE" in run("completion", shell).out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['thumbwheel', '--help']\n"
        "from thumbwheel.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'ray', 'numpy', 'grpc', 'pydantic', 'sqlalchemy', 'rich'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
