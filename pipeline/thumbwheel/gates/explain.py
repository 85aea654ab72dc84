"""What a person is told of a gate: what it asks, why, its threshold, and what to do when a candidate fails it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidInput
from thumbwheel.gates.gate import Gate
from thumbwheel.gates.judge import GATES, every_gate
from thumbwheel.gates.threshold_file import range_of


@dataclass(frozen=True, slots=True)
class Explained:
    """A gate for people. `threshold` is None and `setting` empty where both versions are compared with each other."""

    name: str
    title: str
    kinds: tuple[str, ...]
    asks: str
    why: str
    threshold: float | None
    unit: str
    range: str
    setting: str
    cure: str


def explained(limits: Gates, name: str = "") -> list[Explained]:
    """Every gate in the order in which they are asked, or the one of a name. Raises InvalidInput for an unknown one."""
    gates = every_gate()
    if name and name not in gates:
        raise InvalidInput("gate", f"there is none called {name!r}; there are: {', '.join(gates)}")
    return [_explained(gate, limits) for gate in gates.values() if name in ("", gate.name)]


def _explained(gate: Gate[Any], limits: Gates) -> Explained:
    field = gate.setting
    return Explained(
        name=gate.name,
        title=gate.title,
        kinds=tuple(kind.value for kind, asked in GATES.items() if any(one.name == gate.name for one in asked)),
        asks=" ".join((type(gate).__doc__ or "").split()),
        why=gate.why,
        threshold=float(getattr(limits, field)) if field else None,
        unit=f"{gate.rule.value}, {gate.unit}",
        range=range_of(field) if field else "",
        setting=f"gates.{field}" if field else "",
        cure=gate.cure,
    )
