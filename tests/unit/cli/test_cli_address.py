"""Which service the command line talks to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from thumbwheel.app.home import Addresses, Home
from thumbwheel.cli.context import Context
from thumbwheel.cli.main import main
from thumbwheel.errors import Unreachable

ADDRESSES = Addresses(
    pid=1, grpc="127.0.0.1:1", admin="127.0.0.1:2", web="http://127.0.0.1:3", probes="http://127.0.0.1:3"
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no configuration of this machine be found."""
    monkeypatch.delenv("THUMBWHEEL_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)


def test_a_running_service_is_found_by_its_home(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        home.announce(ADDRESSES)
        context = Context(flags={"home": str(tmp_path / "home")})
        assert context.grpc_address == "127.0.0.1:1"


def test_without_a_home_the_usual_port_is_tried() -> None:
    assert Context().grpc_address == "127.0.0.1:7070"


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_of_a_chosen_home_that_has_no_service_no_strangers_is_asked(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(flags={"home": str(tmp_path)} if by == "flag" else {})
    if by == "environment":
        monkeypatch.setenv("THUMBWHEEL_HOME", str(tmp_path))
    for ask in (context.client, context.admin):
        with pytest.raises(Unreachable, match=f"^no service runs on the home {tmp_path}"):
            ask()


def test_a_service_that_is_starting_is_to_be_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thumbwheel", "--home", str(tmp_path), "ask", "hello"])
    with Home(tmp_path), pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 69
    said = capsys.readouterr().err
    assert f"the service on the home {tmp_path} is still starting; try again in a moment" in said
    assert "thumbwheel up" not in said


def test_an_address_goes_before_the_home(tmp_path: Path) -> None:
    assert Context(flags={"home": str(tmp_path)}, address="there:1").grpc_address == "there:1"


def test_operators_commands_do_not_go_to_this_machine_when_another_service_was_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thumbwheel", "--address", "there:1", "erase", "ann", "--reason", "r", "--yes"])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code, "--admin-address" in capsys.readouterr().err) == (2, True)


def test_the_cure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["thumbwheel", "--home", str(tmp_path), "erase", "ann", "--reason", "r", "--yes"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 69
    said = capsys.readouterr().err
    assert f"no service runs on the home {tmp_path}" in said
    assert "thumbwheel up" in said and "--address" in said


def test_a_home_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["thumbwheel", "--home", "", "config", "show"])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code, "--home: is empty; name a folder" in capsys.readouterr().err) == (2, True)
