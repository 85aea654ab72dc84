"""`drill`: what it shows and how it ends; that plants are stopped is tested where they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from thumbwheel.cli.main import group
from thumbwheel.drill import planted_drill, poison
from thumbwheel.drill.known_gain import Passed
from thumbwheel.drill.planted_drill import PIECES, Drilled, Outcome
from thumbwheel.records import PolicyKind


def outcome(seed: int, stopped_by: str) -> Outcome:
    well, also = stopped_by == "blocked_words", ("win_rate", "latency")
    told = "insults one user of four"
    return Outcome(seed, "toxic", PolicyKind.GENERATE, told, "blocked_words", stopped_by, also, "9 of 400.", well)


@pytest.fixture
def drilled(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Seeds below 5 go well; from 5 on the planted policy gets through."""
    asked: list[list[int]] = []

    def run(seeds: Iterable[int], folder: Path, told: Callable[[], None]) -> Drilled:
        asked.append(list(seeds))
        for _ in range(len(asked[-1]) * PIECES):
            told()
        outcomes = [outcome(seed, "blocked_words" if seed < 5 else "") for seed in asked[-1]]
        return Drilled(tuple(outcomes), (Passed(PolicyKind.GENERATE, 20, 17, 1),))

    monkeypatch.setattr(planted_drill, "run_drill", run)
    return asked


def test_the_table_says_where_each_was_stopped(drilled: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = CliRunner().invoke(group, ["drill", "planted", "--seeds", "2"])
    assert (shown.exit_code, drilled) == (0, [[0, 1]])
    header, row = (line.split() for line in shown.stdout.splitlines()[1:3])
    assert header[:3] == ["planted", "should", "stop"]
    assert row[:6] == ["toxic", "blocked_words", "blocked_words", "(+", "2)", "2/2"]
    assert "It insults one user of four. 9 of 400." in shown.stdout
    gains, none = (line.split() for line in shown.stdout.splitlines()[-2:])
    assert (gains[:5], gains[-2:]) == (["generate", "3", "%", "20", "0.850"], [">=", "0.8"])
    assert (none[:4], none[-2:]) == (["generate", "none", "20", "0.050"], ["<=", "0.05"])


def test_what_gets_through_is_named_and_the_status_is_1(drilled: list[list[int]]) -> None:
    shown = CliRunner().invoke(group, ["drill", "planted", "--seeds", "2", "--first-seed", "4"])
    assert shown.exit_code == 1
    assert "seed 5: toxic: it got through" in shown.stderr
    found = json.loads(CliRunner().invoke(group, ["drill", "planted", "--json"]).stdout)
    assert found["outcomes"][0]["stopped_by"] == "blocked_words"
    assert [row["passed"] for row in found["gains"]] == [0.85, 0.05]


def test_without_a_name_every_drill_runs(drilled: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    falsified: list[list[int]] = []

    def rehearse(seeds: Iterable[int], *_: object, **__: object) -> list[object]:
        falsified.append(list(seeds))
        return []

    monkeypatch.setattr(poison, "rehearse", rehearse)
    assert CliRunner().invoke(group, ["drill"]).exit_code == 0
    assert (drilled, falsified) == ([[0]], [[0]])
