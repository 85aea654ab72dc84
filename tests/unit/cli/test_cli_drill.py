"""`thumbwheel drill poison`: the table, its JSON and its exit status, from outcomes as the drill gives them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from thumbwheel.cli.drill import command
from thumbwheel.drill import poison
from thumbwheel.drill.poison import Outcome
from thumbwheel.drill.poison_say import Say
from thumbwheel.drill.poison_stage import Learned


def outcome(seed: int, quality: float, *gates: str) -> Outcome:
    return Outcome(seed, "label", 0.05, 0.85, 0.8, Learned(quality, gates, 0.06, 0.02, Say(0.7, 0.8, 0.1, 0.15)))


def run(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome, arguments: tuple[str, ...] = ()) -> tuple[int, str]:
    monkeypatch.setattr(poison, "rehearse", lambda *_, **__: list(outcomes))
    result = CliRunner().invoke(command, ["poison", *arguments])
    return result.exit_code, result.stdout


def test_a_row_has_the_means_over_seeds_and_how_each_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = run(monkeypatch, outcome(0, 0.8), outcome(1, 0.7, "off_policy_snips", "rater_concentration"))
    assert status == 0
    for said in ("5%", "0.750", "+12.5%", "1 as good, 1 stopped: off_policy_snips", "target moved 0.100 of 0.150"):
        assert said in out
    assert "6.0% of votes, 2.0% of weight" in out


def test_what_got_through_is_said_and_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = run(monkeypatch, outcome(0, 0.7))
    assert status == 1 and "GOT THROUGH" in out


def test_json_has_one_record_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = run(monkeypatch, outcome(0, 0.8), outcome(1, 0.7), arguments=("--json",))
    records = json.loads(out)
    assert status == 1
    assert [(one["seed"], one["holds"]) for one in records] == [(0, True), (1, False)]
    assert records[0]["target_moved"] == pytest.approx(0.1) and records[0]["lost"] == pytest.approx(0.0)
