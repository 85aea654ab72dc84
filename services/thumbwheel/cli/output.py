"""Tables for people, JSON for scripts."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from thumbwheel.cli.context import Context

Row = Mapping[str, Any]

_GAP = "  "
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def emit(context: Context, rows: Sequence[Row], *, title: str = "", empty: str = "none", prose: str = "") -> None:
    """Print rows as a table, or as a JSON array.

    `prose` names the column that holds sentences: it gets what room is left, or a line of its own below its row.
    `empty` is the sentence shown when there are no rows.
    """
    if context.json:
        emit_json(list(rows))
    elif rows:
        if title:
            click.secho(title, bold=True)
        for line in table(rows, prose, shutil.get_terminal_size().columns):
            click.echo(line)
    else:
        click.echo(empty)


def table(rows: Sequence[Row], prose: str, width: int) -> Iterator[str]:
    """Yield the lines of a table for a terminal `width` characters wide; no word is ever broken to fit a column."""
    columns = [name for name in rows[0] if name != prose]
    cells = {name: [name, *(cell(row[name]) for row in rows)] for name in columns}
    widths = {name: max(map(len, texts)) for name, texts in cells.items()}
    taken = sum(widths.values()) + len(_GAP) * len(columns)
    if taken - len(_GAP) > width:
        yield from _records(rows, width)
        return
    longest = max(len(_on_a_line(row[prose] or "")) for row in rows) if prose else 0
    beside = bool(prose) and taken + longest <= width
    for place, row in enumerate([None, *rows]):
        line = _GAP.join(_aligned(cells[name][place], widths[name], rows[0][name]) for name in columns).rstrip()
        sentence = _on_a_line(row[prose] or "") if row is not None and prose else ""
        if row is None:
            yield click.style(f"{line}{_GAP}{prose}" if beside else line, bold=True)
        elif beside:
            yield f"{line.ljust(taken - len(_GAP))}{_GAP}{sentence}".rstrip()
        else:
            yield line
            yield from textwrap.wrap(sentence, width, initial_indent="    ", subsequent_indent="    ")


def emit_json(value: Any) -> None:
    """Print a value as JSON; what is not a number becomes null, since JSON has no NaN."""
    click.echo(json.dumps(_finite(value), indent=1, ensure_ascii=False))


def cell(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return "-" if value in ("", None) else _on_a_line(value)


def printable(text: str) -> str:
    """Return a text, lines kept, without what would steer the terminal: models, users and files write texts, too."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in "\n\t" else "\N{REPLACEMENT CHARACTER}", text)


def counted(count: int, noun: str) -> str:
    """Return "1 vote", "2 votes"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _on_a_line(value: Any) -> str:
    return printable(str(value)).translate({ord("\n"): " ", ord("\t"): " "})


def when(time_us: int) -> str:
    """Return a time in UTC, to the minute; empty for 0."""
    if not time_us:
        return ""
    return dt.datetime.fromtimestamp(time_us / 1e6, tz=dt.UTC).strftime("%Y-%m-%d %H:%M")


def _records(rows: Sequence[Row], width: int) -> Iterator[str]:
    """Rows that are wider than the terminal, one field a line."""
    label = max(len(name) for name in rows[0])
    for row in rows:
        for name, value in row.items():
            yield from textwrap.wrap(
                f"{name.ljust(label)}{_GAP}{cell(value)}", width, subsequent_indent=" " * (label + len(_GAP))
            )
        yield ""


def _aligned(text: str, width: int, like: Any) -> str:
    number = isinstance(like, int | float) and not isinstance(like, bool)
    return text.rjust(width) if number else text.ljust(width)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
