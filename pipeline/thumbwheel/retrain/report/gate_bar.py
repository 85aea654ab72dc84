"""A gate as a small picture: the side that passes, the threshold, the interval and the value."""

from __future__ import annotations

from math import isfinite

from thumbwheel.gates.gate import Rule
from thumbwheel.records import GateResult

WIDTH = 200
HEIGHT = 26
MARGIN = 0.12


def gate_bar(result: GateResult, rule: Rule | None) -> str:
    """Inline SVG of 200 x 26, or an empty string when the gate has no value to draw."""
    if not (isfinite(result.value) and isfinite(result.threshold)):
        return ""
    x = _Scale([number for number in (result.value, result.threshold, result.low, result.high) if isfinite(number)])
    at, limit = x(result.value), x(result.threshold)
    parts = [f'<rect class="rail" x="0" y="11" width="{WIDTH}" height="4" rx="2"/>']
    if rule is not None:
        left, right = (0.0, limit) if rule is Rule.AT_MOST else (limit, float(WIDTH))
        parts.append(f'<rect class="good" x="{left:.1f}" y="3" width="{right - left:.1f}" height="20"/>')
    if isfinite(result.low) and isfinite(result.high):
        low, high = x(result.low), x(result.high)
        parts.append(f'<rect class="range" x="{low:.1f}" y="9" width="{max(high - low, 1.0):.1f}" height="8" rx="2"/>')
    parts.append(f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="1" y2="25"/>')
    parts.append(f'<circle class="value" cx="{at:.1f}" cy="13" r="5"/>')
    state = "passed" if result.passed else "failed"
    return f'<svg class="bar {state}" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'


class _Scale:
    """Maps the numbers onto the width, with a margin on both sides."""

    def __init__(self, numbers: list[float]) -> None:
        self.low, high = min(numbers), max(numbers)
        self.span = (high - self.low) or max(abs(high), 1.0)

    def __call__(self, number: float) -> float:
        share = (number - self.low) / self.span if self.span else 0.5
        return WIDTH * (MARGIN + (1 - 2 * MARGIN) * share)
