"""`policy init`: what it says of the data, of its way, and of a name that is taken. The training is made quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thumbwheel.cli.main import main
from thumbwheel.pretrain import classify
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify

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
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "learned from 20 of 320 labelled texts (up to 5 a class); more with --labels-per-class N"


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
