"""Numbers as a reader wants them, and a gate's little picture."""

from __future__ import annotations

import math
import re

import pytest

from thumbwheel.gates.gate import Rule
from thumbwheel.gates.shown_gate import measure
from thumbwheel.records import GateResult
from thumbwheel.retrain.report.data import Comparison
from thumbwheel.retrain.report.gate_bar import gate_bar
from thumbwheel.retrain.report.numbers import change, duration


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.12345, "", "0.123"),
        (2_500, "votes", "2,500"),
        (12_345.6, "", "12,346"),
        (3.0, "", "3"),
        (0.5, "share", "50%"),
        (0.00762, "share of replies", "0.762%"),
        (math.nan, "", "–"),
        (-math.inf, "", "−∞"),
    ],
)
def test_three_digits_that_count(value: float, unit: str, shown: str) -> None:
    assert measure(value, unit) == shown


def test_a_change_has_its_sign() -> None:
    assert change(Comparison("a", 1.0, 0.75)) == "−0.25"
    assert change(Comparison("a", 0.4, 0.75, "share")) == "+35 points"
    assert change(Comparison("a", 2.0, 2.0)) == "0"


@pytest.mark.parametrize(("seconds", "shown"), [(42, "42 s"), (125, "2 min 5 s"), (11_040, "3 h 4 min")])
def test_durations(seconds: int, shown: str) -> None:
    assert duration(1_000_000, 1_000_000 + seconds * 1_000_000) == shown


def _places(svg: str) -> dict[str, float]:
    good = re.search(r'class="good" x="([\d.]+)" y="3" width="([\d.]+)"', svg)
    return {
        "value": float(re.search(r'cx="([\d.]+)"', svg)[1]),  # type: ignore[index]
        "limit": float(re.search(r'x1="([\d.]+)"', svg)[1]),  # type: ignore[index]
        "good_from": float(good[1]) if good else math.nan,
        "good_width": float(good[2]) if good else math.nan,
    }


def test_a_value_within_its_limit_stands_on_the_green_side() -> None:
    svg = gate_bar(GateResult("kl_budget", True, 1.0, 3.0, 0.8, 1.2, ""), Rule.AT_MOST)
    at = _places(svg)
    assert at["good_from"] <= at["value"] < at["limit"] == at["good_from"] + at["good_width"]
    assert 'class="bar passed"' in svg


def test_a_gain_stands_right_of_its_threshold() -> None:
    at = _places(gate_bar(GateResult("win_rate", True, 0.8, 0.5, 0.7, 0.9, ""), Rule.ABOVE))
    assert at["limit"] == at["good_from"] < at["value"]
    assert at["good_from"] + at["good_width"] == pytest.approx(200.0)


def test_value_and_threshold_that_are_equal_can_be_drawn() -> None:
    at = _places(gate_bar(GateResult("blocked_words", True, 0.0, 0.0, math.nan, math.nan, ""), Rule.AT_MOST))
    assert at["value"] == at["limit"]


def test_a_value_that_is_none_is_not_drawn() -> None:
    assert gate_bar(GateResult("kl_budget", False, math.nan, 3.0, math.nan, math.nan, ""), Rule.AT_MOST) == ""
