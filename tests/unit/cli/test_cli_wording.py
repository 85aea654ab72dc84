"""What the API calls a field, and what the command line does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from thumbwheel.cli.main import COMMANDS, group, main
from thumbwheel.cli.wording import OPTIONS, worded
from thumbwheel.client import AdminClient
from thumbwheel.errors import InvalidConfig, InvalidData, InvalidInput, NotFound, ThumbwheelError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidInput("edit.label", "is no label"), "--correct: is no label"),
        (InvalidInput("reasons[1]", "must be short"), "--reason: must be short"),
        (InvalidInput("sampling.max_new_tokens", "must be less"), "--max-new-tokens: must be less"),
        (InvalidInput("user_id", "is too long"), "user_id: is too long"),
        (InvalidInput("", "has no field"), "has no field"),
        (
            InvalidInput("edit.label", "set one of: a and 3 more, which DescribePolicy lists"),
            "--correct: set one of: a and 3 more, which `thumbwheel ask TEXT --json` lists",
        ),
        (InvalidConfig("comment", "is a setting"), "comment: is a setting"),
        (InvalidData("comment", "is of a file"), "comment: is of a file"),
        (NotFound("edit.label: gone"), "edit.label: gone"),
    ],
)
def test_fields_are_called_as_the_options_that_set_them(error: ThumbwheelError, said: str) -> None:
    assert worded(error) == said


def test_the_options_are_there() -> None:
    context = group.make_context("thumbwheel", ["status"])
    commands = [group.get_command(context, name) for name in COMMANDS]
    known = {option for one in commands if one for parameter in one.params for option in parameter.opts}
    assert set(OPTIONS.values()) <= known


def test_an_error_is_shown_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InvalidInput("edit.label", "is no label")

    monkeypatch.setattr(AdminClient, "policies", refuse)
    doors = ["--home", str(tmp_path), "--admin-address", "127.0.0.1:1"]
    monkeypatch.setattr(sys, "argv", ["thumbwheel", *doors, "versions"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: --correct: is no label\n"
