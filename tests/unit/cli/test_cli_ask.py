"""How a label is shown that was drawn, and one that was not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thumbwheel.cli.main import main
from thumbwheel.client import Client
from thumbwheel.client.answers import Classification, PolicyDescription, Receipt, TaggedWord, Tagging
from thumbwheel.records import PolicyKind

LIKELY = {"lift": 0.47, "pests": 0.406, "power": 0.111, "heat": 0.007, "door": 0.004, "roof": 0.002}
DRAWN = "drawn at random by these probabilities, so that it can learn (classify.mode=argmax: always the likeliest)\n"
Ask = Callable[..., tuple[str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask a service that serves this label; return what was said on standard output and error."""
    doors = ["--home", str(tmp_path), "--address", "127.0.0.1:1"]
    desk = PolicyDescription("desk", PolicyKind.CLASSIFY, (), tuple(LIKELY), 0, 0, 0.02)
    monkeypatch.setattr(Client, "describe", lambda *_: (desk,))

    def asked(label: str, *form: str) -> tuple[str, str]:
        sender: Any = None
        answer = Classification(Receipt("r1", "token", version="v1"), "", sender, label, LIKELY)
        monkeypatch.setattr(Client, "classify", lambda *_, **__: answer)
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *doors, "ask", "no light", *form])
        main()
        said = capsys.readouterr()
        return said.out, said.err

    return asked


def test_a_label_that_was_drawn_is_marked_and_said_to_be(ask: Ask) -> None:
    out, err = ask("power")
    listed = ["   47.0%  lift", "   40.6%  pests", ">  11.1%  power", "    0.7%  heat", "    0.4%  door"]
    assert out.splitlines() == ["power", *listed]
    assert err.startswith(DRAWN)


def test_a_drawn_label_is_listed_however_unlikely_it_was(ask: Ask) -> None:
    assert ask("roof")[0].splitlines()[-1] == ">   0.2%  roof"


def test_of_the_likeliest_label_nobody_wonders_why_and_argmax_serves_no_other(ask: Ask) -> None:
    out, err = ask("lift")
    assert out.splitlines()[1] == ">  47.0%  lift"
    assert "drawn" not in err


def test_the_json_says_what_it_always_said(ask: Ask) -> None:
    out, err = ask("power", "--json")
    assert '"label": "power"' in out and err == ""


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_tags_are_shown_word_by_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    places = PolicyDescription("places", PolicyKind.TAG, (), ("O", "B-city"), 0, 0, 0.02)
    sender: Any = None
    words = (TaggedWord("to", "O", 0, 2, 0.75), TaggedWord("Rome", "B-city", 3, 7, 0.5))
    answer = Tagging(Receipt("r1", "token", version="v1"), "", sender, words)
    monkeypatch.setattr(Client, "describe", lambda *_: (places,))
    monkeypatch.setattr(Client, "tag", lambda *_, **__: answer)
    doors = ["--home", str(tmp_path), "--address", "127.0.0.1:1"]
    monkeypatch.setattr(sys, "argv", ["thumbwheel", *doors, "ask", "to Rome", *form])
    main()
    out = capsys.readouterr().out
    if form:
        said = json.loads(out)
        assert said["tokens"][1] == {"text": "Rome", "tag": "B-city", "start": 3, "end": 7, "probability": 0.5}
        assert said["feedback_token"] == "token"
    else:
        assert out.splitlines() == [" 75.0%  O       to", " 50.0%  B-city  Rome"]
