"""`policy init`: what it says of the data, of its way, and of a name that is taken. The training is made quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thumbwheel.app.first_policy import Source
from thumbwheel.app.home import Addresses, Home
from thumbwheel.cli.main import main
from thumbwheel.cli.policy import _of_how_many
from thumbwheel.pretrain import classify
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.records import PolicyKind

Init = Callable[..., int]

TRAINED = {"vocabulary": 300, "width": 32, "least_epochs": 1, "least_updates": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """320 labelled texts of 4 classes."""
    rows = [{"text": f"word{number % 4} number {number}", "label": f"class {number % 4}"} for number in range(320)]
    file = tmp_path / "tickets.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def init(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Run `policy init support --kind classify --data FILE` with more options; return its exit status."""

    def quick(rows: Any, folder: Path, recipe: ClassifyRecipe, step_done: Any) -> Any:
        return pretrain_classify(rows, folder, replace(recipe, **TRAINED), step_done)

    monkeypatch.setattr(classify, "pretrain_classify", quick)

    def run(*options: str) -> int:
        line = [
            "--home",
            str(tmp_path / "home"),
            "policy",
            "init",
            "support",
            "--kind",
            "classify",
            "--data",
            str(data),
        ]
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *line, *options])
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0

    return run


def test_it_says_how_few_labels_it_learned_from(init: Init, capsys: pytest.CaptureFixture[str]) -> None:
    assert init() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == "learned from 20 of 320 labelled texts (up to 5 a class); more with --labels-per-class N"


def test_scripts_get_both_numbers(init: Init, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("--json", "--labels-per-class", "7") == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["policy"], row["learned_from"], row["labelled_texts"]) == ("support", 28, 320)


def test_nothing_is_said_where_all_labels_were_seen(init: Init, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("--labels-per-class", "80") == 0
    assert "learned from" not in capsys.readouterr().out


def test_a_name_that_is_taken_is_a_conflict(init: Init, capsys: pytest.CaptureFixture[str]) -> None:
    assert init() == 0
    assert init() == 4
    assert "name: policy 'support' exists already; choose another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "options", "said"),
    [
        ('{"text": 1, "label": "a"}', (), "line 1"),
        ("", ("--from", "some-model"), "give either a data file to train from (--data), or an existing model (--from)"),
    ],
)
def test_what_can_not_be_trained_on_is_refused_before_any_work(
    row: str,
    options: tuple[str, ...],
    said: str,
    init: Init,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data.write_text(row)
    monkeypatch.setattr("thumbwheel.cli.policy._prepare_transformers", lambda: pytest.fail("the work has begun"))
    assert init(*options) == 2
    told = capsys.readouterr().err
    assert said in told and "training" not in told


def test_texts_of_one_label_are_refused_by_their_file_before_any_work(
    init: Init, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "x"}\n')
    assert init() == 2
    told = capsys.readouterr().err
    assert f"{data}: every label is 'x': give texts of at least 2 different labels" in told
    assert "training" not in told


def test_without_a_terminal_a_line_says_that_the_training_begins(
    init: Init, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    quick = classify.pretrain_classify

    def watched(*arguments: Any) -> Any:
        seen.append(capsys.readouterr().err)
        return quick(*arguments)

    monkeypatch.setattr(classify, "pretrain_classify", watched)
    assert init() == 0
    assert seen == ["training support\n"]
    assert capsys.readouterr().err == ""


def test_what_comes_next_is_told_and_not_to_scripts(
    init: Init, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init() == 0
    program = f"thumbwheel --home {tmp_path / 'home'}"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"serve it: {program} up",
        f'ask it:   {program} ask "a text of yours" --policy support --user alice',
    ]


def test_where_the_service_runs_it_is_not_to_be_started(
    init: Init, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Home(tmp_path / "home") as home:
        home.announce(Addresses(1, "a:1", "a:2", "http://a:3", "http://a:3"))
        assert init() == 0
    said = capsys.readouterr().out
    assert "ask it:" in said and "serve it:" not in said


def test_texts_of_a_tagger_are_called_tagged() -> None:
    assert _of_how_many(2_000, Source(PolicyKind.TAG)) == "2,000 tagged texts; more with --tagged-texts N"


@pytest.mark.parametrize("place", ["home", "versions"])
def test_a_place_that_can_not_be_written_is_told_before_any_work(
    place: str, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_only(path: Path, *_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    if place == "home":
        monkeypatch.setattr(Path, "touch", read_only)
    else:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "versions").write_text("no folder")
    monkeypatch.setattr("thumbwheel.cli.policy._prepare_transformers", lambda: pytest.fail("the work has begun"))
    assert init() == 69
    told = capsys.readouterr().err
    assert ("home can not be written (Read-only" if place == "home" else "versions can not take the version") in told
    assert list((tmp_path / "home").glob(".probe*")) == []


@pytest.mark.parametrize(
    ("option", "kind"), [(("--worth-keeping", "chats.jsonl"), "generate"), (("--tagged-texts", "20"), "tag")]
)
def test_an_option_of_another_kind_is_refused(
    option: tuple[str, str], kind: str, init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(*option) == 2
    assert f"{option[0]} is for --kind {kind}; leave it out" in capsys.readouterr().err
