"""What SIGTERM, a missing service and a move that fails say, and with which status a command ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from thumbwheel import errors
from thumbwheel.cli import main as module
from thumbwheel.cli.main import group, main
from thumbwheel.cli.stopping import Terminated, stopped_by_sigterm

PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def handler_kept() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def ends(monkeypatch: pytest.MonkeyPatch, number: int) -> int:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(PATIENCE_S)

    monkeypatch.setattr(module.group, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(str(ended.value.code))


def test_sigterm_ends_as_ctrl_c_does_with_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert ends(monkeypatch, signal.SIGTERM) == 143
    assert ends(monkeypatch, signal.SIGINT) == 130
    assert capsys.readouterr().err == "stopped\nstopped\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_asked_twice_it_is_gone_and_what_ignores_it_goes_on_ignoring() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(Terminated), stopped_by_sigterm():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with stopped_by_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_training_that_is_ended_leaves_no_folder_behind(tmp_path: Path) -> None:
    scratch, home = tmp_path / "scratch", tmp_path / "home"
    scratch.mkdir()
    lines = [f'{{"text": "where is parcel {number}", "label": "l{number % 50}"}}' for number in range(4_000)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    words = ["--home", str(home), "policy", "init", "desk", "--kind", "classify", "--labels-per-class", "80"]
    running = subprocess.Popen(
        [sys.executable, "-m", "thumbwheel.cli", *words, "--data", str(tmp_path / "texts.jsonl")],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not list(scratch.glob("thumbwheel-init-*")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    running.terminate()
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 143, said
    assert said.endswith("stopped\n") and "Traceback" not in said
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Start it with `thumbwheel up`, or name another"),
        (["--set", "log.kind=kafka"], "Start it with `thumbwheel serve` (or `up`"),
        (["--address", "127.0.0.1:1", "--admin-address", "127.0.0.1:1"], "Does it run there?"),
    ],
)
def test_where_nothing_answers_the_service_that_was_meant_is_named(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thumbwheel", "--home", str(tmp_path), *words, "status"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 69
    assert told in capsys.readouterr().err


def test_a_move_that_fails_ends_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "same.toml").write_text("")
    result = CliRunner().invoke(group, ["--home", str(tmp_path), "move", "--to", str(tmp_path / "same.toml")])
    assert isinstance(result.exception, errors.Conflict)
    [note] = result.exception.__notes__
    assert note.startswith("Nothing was moved")
    assert note.endswith(f"thumbwheel --home {tmp_path} move --to {tmp_path}/same.toml")


def test_a_move_that_was_done_before_is_not_said_to_have_moved_nothing(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite.moved").touch()
    (tmp_path / "there.toml").write_text('[database]\nurl = "postgresql+psycopg://me@127.0.0.1:1/none"\n')
    result = CliRunner().invoke(group, ["--home", str(tmp_path), "move", "--to", str(tmp_path / "there.toml")])
    assert isinstance(result.exception, errors.AlreadyMoved)
    assert not hasattr(result.exception, "__notes__")
