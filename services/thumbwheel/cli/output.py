"""Tables for people, JSON for scripts."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import click

from thumbwheel.cli.context import Context


def emit(context: Context, rows: Sequence[Mapping[str, Any]], *, title: str = "", empty: str = "none") -> None:
    """Print rows as a table, or as a JSON array; `empty` is the sentence shown when there are none."""
    if context.json:
        emit_json(list(rows))
        return
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for place, (column, value) in enumerate(rows[0].items()):
        justify: Literal["left", "right"] = "right" if isinstance(value, int | float) else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    Console(highlight=False).print(table)


def emit_json(value: Any) -> None:
    """Print a value as JSON; what is not a number becomes null, since JSON has no NaN."""
    click.echo(json.dumps(_finite(value), indent=1, ensure_ascii=False))


def cell(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return "-" if value in ("", None) else str(value)


def when(time_us: int) -> str:
    """Return a time in UTC, to the second; empty for 0."""
    if not time_us:
        return ""
    return dt.datetime.fromtimestamp(time_us / 1e6, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
