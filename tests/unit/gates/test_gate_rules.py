"""The three ways a value is held against a threshold."""

from __future__ import annotations

import math

import pytest

from thumbwheel.gates.gate import Rule, holds
from thumbwheel.ope.intervals import Interval


def _point(value: float) -> Interval:
    """A value without an interval."""
    return Interval(value, math.nan, math.nan)


@pytest.mark.parametrize(
    ("rule", "measured", "threshold", "passes"),
    [
        (Rule.AT_MOST, _point(3.0), 3.0, True),
        (Rule.AT_MOST, _point(3.0001), 3.0, False),
        (Rule.AT_LEAST, _point(0.6), 0.6, True),
        (Rule.AT_LEAST, _point(0.5999), 0.6, False),
        (Rule.ABOVE, Interval(1.0, 0.5, 2.0), 0.5, False),
        (Rule.ABOVE, Interval(1.0, 0.5001, 2.0), 0.5, True),
        (Rule.ABOVE, _point(1.0), 0.5, False),
        (Rule.AT_MOST, Interval(math.nan, 0.0, 0.0), 3.0, False),
        (Rule.AT_MOST, _point(-math.inf), 3.0, False),
        (Rule.AT_LEAST, _point(math.inf), 3.0, False),
        (Rule.ABOVE, Interval(math.nan, 1.0, 2.0), 0.5, False),
        (Rule.ABOVE, Interval(1.0, math.inf, math.inf), 0.5, False),
        (Rule.AT_MOST, _point(1.0), math.nan, False),
    ],
)
def test_rules_at_their_edges_and_with_numbers_that_are_none(
    rule: Rule, measured: Interval, threshold: float, passes: bool
) -> None:
    assert holds(rule, measured, threshold) is passes
