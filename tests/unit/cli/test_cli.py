"""The command line against a service in memory; only what `cli/` itself adds is tested here."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demo_facts import HELPDESK, TOPICS, run_of
from demo_service import DemoService

from thumbwheel.cli.main import COMMANDS, EXIT_CODES, main

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
    assert run("vote", "up").out == f'counted: thumb up for "delivery" of {TOPICS} v2\n'
    assert run("vote", "4").out == f'counted: 4 of 5 stars for "delivery" of {TOPICS} v2\n'
    voted = json.loads(run("vote", "down", "--json").out)
    assert (voted["policy"], voted["version"]) == (TOPICS, "v2")
    assert run("vote", "--retract", "thumb").out == f'taken back: thumb on "delivery" of {TOPICS} v2\n'
    never = run("vote", "--retract", "edit")
    assert (never.status, "no vote of this kind" in never.err) == (3, True)


def test_an_answer_does_not_steer_the_terminal(run: Run) -> None:
    asked = run("ask", "hello \x1b[2J", "--policy", HELPDESK)
    assert asked.out == "Thank you for writing: hello \ufffd[2J\n"


def test_a_correction_is_a_label_or_a_text_by_the_kind(run: Run, service: DemoService) -> None:
    run("ask", "my delivery", "--policy", TOPICS)
    assert run("vote", "--correct", "refund").status == 0
    run("ask", "hello", "--policy", HELPDESK)
    corrected = run("vote", "--correct", "good day").out
    assert corrected == f'counted: your correction for "Thank you for writing: hello" of {HELPDESK} v2\n'
    edits = [vote.edit for vote in service.world.votes.values() if vote.edit]
    assert {(edit.label, edit.text) for edit in edits} == {("refund", ""), ("", "good day")}


def test_a_vote_names_an_answer_got_elsewhere_by_its_id(run: Run, tmp_path: Path) -> None:
    run("ask", "my delivery " * 20, "--policy", HELPDESK, "--user", "ann")
    kept = json.loads((tmp_path / "last_answer.json").read_text())
    assert 'my delivery…" of' in run("vote", "up").out
    named = ["--response-id", kept["response_id"], "--token", kept["token"], "--user", "ann"]
    assert run("vote", "up", *named).out == f"counted: thumb up for answer {kept['response_id']}\n"


@pytest.mark.parametrize(("policy", "text"), [(TOPICS, "my delivery"), (HELPDESK, "hello")])
def test_a_script_rates_any_of_its_answers_by_what_json_said_of_it(
    run: Run, service: DemoService, policy: str, text: str
) -> None:
    first = json.loads(run("ask", text, "--policy", policy, "--json").out)
    run("ask", "something else", "--policy", policy)
    assert (first["policy"], first["checkpoint_digest"]) == (policy, "sha256:ab")
    named = ["--response-id", first["response_id"], "--token", first["feedback_token"]]
    assert run("vote", "down", *named, "--reason", "too-long").status == 0
    [vote] = service.world.votes.values()
    assert (vote.response_id, list(vote.reasons)) == (first["response_id"], ["too-long"])
    assert run("vote", "--correct", "refund", *named, "--policy", policy).status == 0


def test_a_correction_has_reasons_too(run: Run, service: DemoService) -> None:
    run("ask", "my delivery", "--policy", TOPICS)
    assert run("vote", "--correct", "refund", "--reason", "wrong-team").status == 0
    [vote] = service.world.votes.values()
    assert list(vote.reasons) == ["wrong-team"]


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
        (["versoins"], 2, "Did you mean versions?"),
        (["runs", "--limit", "abc"], 2, "'abc' is no whole number; give one from 1 to 1,000"),
        (["erase", "", "--reason", "r"], 2, "user_id: must have 1 to 256 characters, has 0"),
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


def test_a_question_larger_than_the_service_takes_is_wrong_use(run: Run) -> None:
    asked = run("ask", "x" * 5_000_000, "--policy", TOPICS)
    assert asked.status == 2
    assert "at most 4,194,304 (serve.max_message_bytes): shorten it" in asked.err
    assert "Traceback" not in asked.err


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
    again = run("promote", TOPICS, before, "--reason", "it is fine")
    assert (again.status, again.out) == (0, f"{before} is the champion of {TOPICS} already; nothing was changed\n")


def test_the_audit_trail_tells_who_did_what_and_why(
    run: Run, service: DemoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run("promote", TOPICS, "v1", "--reason", "complaints", "--actor", "ann")
    said = run("versions", TOPICS, "--history").out
    assert "champion v2 -> v1: complaints" in said
    assert max(map(len, said.splitlines())) <= 80
    entry = json.loads(run("versions", TOPICS, "--history", "--json").out)[0]
    assert (entry["action"], entry["actor"], entry["previous"]) == ("channel moved", "ann", "v2")


def test_a_champion_that_is_not_served_stands_out_in_the_status(run: Run, service: DemoService) -> None:
    problem = "model.safetensors was altered; v1 is served instead"
    service.world.status.policies[0].problem = problem
    service.world.status.policies[0].new_other_votes = 77
    said = run("status")
    assert f"{HELPDESK}: {problem}\n" in said.out
    assert f"{HELPDESK}: 77 more votes are of kinds that nothing learns from yet\n" in said.out
    service.world.status.policies[0].new_other_votes = 1
    assert f"{HELPDESK}: 1 more vote is of a kind that nothing learns from yet\n" in run("status").out


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_itself(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.status == 0
    assert "Usage: thumbwheel" in result.out


@pytest.mark.parametrize(
    "group", ["", "policy", "simulate", "config", "keys", "topics", "deadletters", "canary", "gates", "drill"]
)
def test_every_command_of_a_list_has_a_whole_sentence(group: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = run(*group.split(), "--help").out
    listed = said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert listed
    for line in listed:
        name, sentence = line.split(maxsplit=1)
        assert sentence.endswith(".") and not sentence.endswith(".."), name
        assert sentence[0].isupper(), name


@pytest.mark.parametrize(
    "command",
    ["", *COMMANDS, "policy init", "simulate users", "config show", "keys rotate", "topics create", "drill planted"],
)
def test_help_fits_80_columns(command: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = run(*command.split(), "--help").out
    assert [line for line in said.splitlines() if len(line) > 80] == []


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


@pytest.mark.parametrize("policy", [TOPICS, HELPDESK])
def test_an_answer_that_can_not_be_remembered_is_shown_all_the_same(run: Run, tmp_path: Path, policy: str) -> None:
    run("ask", "my refund", "--policy", policy)
    (tmp_path / "file").touch()
    asked = run("--home", str(tmp_path / "file" / "home"), "ask", "my delivery", "--policy", policy)
    assert (asked.status, "delivery" in asked.out) == (0, True)
    assert f"could not be remembered in {tmp_path}/file/home (Not a directory)" in asked.err
    assert "thumbwheel vote" not in asked.err


def test_after_a_full_disk_no_vote_goes_to_the_answer_before(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ask", "my refund", "--policy", TOPICS)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("thumbwheel.cli.answers.os.open", full)
        asked = run("ask", "my delivery", "--policy", TOPICS, "--json")
    assert (json.loads(asked.out)["label"], asked.status) == ("delivery", 0)
    assert "No space left on device" in asked.err
    assert run("vote", "up").status == 4


@pytest.mark.parametrize("policy", [TOPICS, HELPDESK])
def test_an_answer_that_was_not_logged_is_said_not_to_be_ratable(run: Run, service: DemoService, policy: str) -> None:
    assert json.loads(run("ask", "my refund", "--policy", policy, "--json").out)["logged"] is True
    service.world.logged = False
    asked = run("ask", "my delivery", "--policy", policy)
    assert "could not be logged, so it can't be rated" in asked.err
    assert "thumbwheel vote" not in asked.err
    assert run("vote", "up").status == 4
    assert json.loads(run("ask", "my delivery", "--policy", policy, "--json").out)["logged"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "--limit", "99999999999"],
        ["runs", "--limit", "0"],
        ["vote", "9" * 5_000],
        ["vote", "6"],
        ["vote", "٣"],
        *(["policy", "init", "x", "--kind", "classify", *wrong] for wrong in (["--seed", "-1"], ["--seed", "9" * 23])),
        ["policy", "init", "x", "--kind", "classify", "--labels-per-class", "0"],
        ["simulate", "users", TOPICS, "--asks", "0"],
        ["simulate", "users", TOPICS, "--users", "0"],
        ["simulate", "users", TOPICS, "--noise", "1.1"],
        ["simulate", "data", "f", "--kind", "classify", "--rows", "0"],
        ["demo", "--asks", "0"],
    ],
)
def test_numbers_out_of_range_are_wrong_use(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.status == 2
    assert "range" in result.err or "1 to 5" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "x", "--policy", TOPICS, "--temperature", "3"], "--temperature"),
        (["ask", "x", "--policy", TOPICS, "--max-new-tokens", "3"], "--max-new-tokens"),
        (["vote", "up", "--user", "ann"], "--response-id"),
        (["vote", "up", "--token", "t"], "--response-id"),
        (["vote", "--retract", "thumb", "--comment", "c"], "--comment"),
        (["vote", "--retract", "thumb", "--reason", "r"], "--reason"),
    ],
)
def test_options_that_do_not_apply_are_refused(run: Run, arguments: list[str], said: str) -> None:
    run("ask", "my delivery", "--policy", TOPICS)
    run("vote", "up")
    result = run(*arguments)
    assert (result.status, said in result.err) == (2, True)


@pytest.mark.parametrize(
    ("policy", "said"), [(TOPICS, "bad.jsonl: line 1: not JSON"), (HELPDESK, "about a classify policy only")]
)
def test_simulated_users_begin_only_with_a_file_that_is_good(
    policy: str, said: str, run: Run, tmp_path: Path, service: DemoService
) -> None:
    (tmp_path / "bad.jsonl").write_text("nope\n")
    result = run("simulate", "users", policy, "--asks", "3", "--data", str(tmp_path / "bad.jsonl"))
    assert (result.status, result.out) == (2, "")
    assert said in result.err
    assert not service.world.responses


def test_simulated_users_leave_standard_output_to_the_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text('{"text": "my refund", "label": "refund"}\n')
    line = [
        "simulate",
        "users",
        TOPICS,
        "--asks",
        "3",
        "--noise",
        "0",
        "--data",
        str(tmp_path / "good.jsonl"),
        "--json",
    ]
    [row] = json.loads(run(*line).out)
    assert (row["answers"], row["up"]) == (3, 3)


def test_a_token_in_the_environment_is_no_wrong_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("ask", "my delivery", "--policy", TOPICS)
    monkeypatch.setenv("THUMBWHEEL_TOKEN", "of another answer")
    assert run("vote", "up").status == 0


def test_every_exit_status_is_documented(run: Run) -> None:
    known = {str(code) for code in (0, 1, 2, 130, 143, *EXIT_CODES.values())}
    told = run("--help").out.partition("Exit status:\n")[2].splitlines()
    assert {line.split()[0] for line in told if line[:7].strip()} == known
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text().partition("## Exit status")[2]
    rows = [line.split("|")[1].strip() for line in page.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    assert set(rows) - {"status"} == known


def test_a_run_that_failed_says_why_in_the_list(run: Run, service: DemoService) -> None:
    service.world.runs.insert(0, run_of("run-9", "failed", ""))
    service.world.runs[0].summary.error, service.world.runs[0].summary.summary = "the disk is full", ""
    row, *_ = json.loads(run("runs", "--json").out)
    assert (row["summary"], row["error"]) == ("", "the disk is full")
    assert "the disk is full" in run("runs").out
