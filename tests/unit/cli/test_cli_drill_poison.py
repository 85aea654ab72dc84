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
    for said in ("5%", "0.750", "+6.3%", "1 as good, 1 off_policy_snips", "target moved 0.100 of 0.150"):
        assert said in " ".join(out.split())
    assert "6.0% of votes, 2.0% of weight; 0.850 were all honest; target" in " ".join(out.split())
    assert out.startswith("poison  raters  clean")


def test_what_got_through_is_said_and_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = run(monkeypatch, outcome(0, 0.7))
    assert status == 1 and "GOT THROUGH" in out


def test_json_has_each_seed_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = run(monkeypatch, outcome(0, 0.8), outcome(1, 0.7), arguments=("--json",))
    [row] = json.loads(out)
    assert status == 1
    assert (row["poison"], row["holds"], row["lost"]) == ("label", False, pytest.approx(0.0625))
    assert [one["lost"] for one in row["seeds"]] == [pytest.approx(0.0), pytest.approx(0.125)]
    assert row["seeds"][0]["target_moved"] == pytest.approx(0.1)
