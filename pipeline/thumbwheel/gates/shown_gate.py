"""A gate's result in words, alike in the report of a run and on the operator's page."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan

from thumbwheel.gates.gate import Rule
from thumbwheel.gates.judge import find_gate
from thumbwheel.records import GateResult


@dataclass(frozen=True, slots=True)
class ShownGate:
    """A result with what its gate says of itself; of a gate that is no more only the name is known."""

    result: GateResult
    title: str
    rule: Rule | None = None
    unit: str = ""
    why: str = ""

    @property
    def value(self) -> str:
        """`1.65%`."""
        return measure(self.result.value, self.unit)

    @property
    def interval(self) -> str:
        """`low to high`, or nothing."""
        low, high = self.result.low, self.result.high
        return f"{measure(low, self.unit)} to {measure(high, self.unit)}" if isfinite(low) and isfinite(high) else ""

    @property
    def demand(self) -> str:
        """`at most 20% of votes`."""
        rule = self.rule.value if self.rule else "threshold"
        # percent says the share already
        return f"{rule} {measure(self.result.threshold, self.unit)} {self.unit.removeprefix('share ')}".rstrip()


def shown_gate(result: GateResult) -> ShownGate:
    """The result as people are told of it."""
    gate = find_gate(result.name)
    return ShownGate(result, gate.title, gate.rule, gate.unit, gate.why) if gate else ShownGate(result, result.name)


def measure(value: float, unit: str = "") -> str:
    """The value with three digits that count; shares as percent, NaN as a dash."""
    if isnan(value):
        return "–"
    sign = "−" if value < 0 else ""
    return sign + _magnitude(abs(value), unit)


def _magnitude(value: float, unit: str) -> str:
    if not isfinite(value):
        return "∞"
    if unit.startswith("share"):
        return f"{100 * value:.3g}%"
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
