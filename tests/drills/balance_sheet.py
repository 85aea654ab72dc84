"""A balance sheet: what has to be, beside what is."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is counted."""

    what: str
    expected: int
    seen: int

    @property
    def holds(self) -> bool:
        return self.expected == self.seen


@dataclass(slots=True)
class Sheet:
    """What came of one drill: `lines` have to balance, `facts` only tell."""

    drill: str
    seed: int
    lines: list[Line] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def expect(self, what: str, expected: int, seen: int) -> None:
        self.lines.append(Line(what, expected, seen))

    @property
    def holds(self) -> bool:
        """Whether it balances; an empty one doesn't."""
        return bool(self.lines) and all(line.holds for line in self.lines)

    @property
    def imbalance(self) -> int:
        """By how much it does not balance, over all lines."""
        return sum(abs(line.expected - line.seen) for line in self.lines)

    def table(self) -> Table:
        table = Table(title=f"{self.drill}, seed {self.seed}", title_justify="left")
        table.add_column("what")
        table.add_column("has to be", justify="right")
        table.add_column("is", justify="right")
        table.add_column("")
        for line in self.lines:
            verdict = "[green]balances[/]" if line.holds else "[red bold]does NOT balance[/]"
            table.add_row(line.what, f"{line.expected:,}", f"{line.seen:,}", verdict)
        for what, value in self.facts.items():
            table.add_row(f"[dim]{what}[/]", "", f"[dim]{value}[/]", "")
        return table
