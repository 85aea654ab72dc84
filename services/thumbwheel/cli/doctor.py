"""`thumbwheel doctor`: what is wrong here, and how to mend it."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json, printable

if TYPE_CHECKING:
    from thumbwheel.app.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
_MARK = max(map(len, _COLOURS))


@click.command(name="doctor")
@json_option
@pass_context
def command(context: Context) -> None:
    """Check this installation and its home folder; exit status 1 if something needs mending.

    A line a check, and below it how to mend what is not well; the last line counts problems and warnings. A warning
    does not change the status.

    \b
    thumbwheel --config service.toml doctor
    thumbwheel doctor | grep -A1 -E '^(problem|warning)'
    thumbwheel doctor --json
    """
    from thumbwheel.app.doctor import examine

    findings = examine(context.settings)
    if context.json:
        rows = [(one, {"check": one.check, "ok": one.ok, "level": one.level}) for one in findings]
        emit_json([{**row, "found": one.found, "cure": one.cure} for one, row in rows])
    else:
        for line in _lines(findings, shutil.get_terminal_size().columns if sys.stdout.isatty() else 0):
            click.echo(line)
        click.echo(_summary(findings))
    if not all(one.ok for one in findings):
        raise SystemExit(1)


def _lines(findings: Sequence[Finding], width: int) -> Iterator[str]:
    """Yield what was found, in lines of `width` characters; 0: as long as they are, for who reads from a pipe."""
    name = max(len(one.check) for one in findings)
    indent = " " * (_MARK + name + 4)
    for one in findings:
        mark = click.style(one.level.ljust(_MARK), fg=_COLOURS[one.level])
        first, *more = _wrapped(one.found, width - len(indent))
        yield f"{mark}  {one.check.ljust(name)}  {first}"
        yield from (f"{indent}{line}" for line in more)
        if one.cure:
            yield from (f"{indent}{line}" for line in _wrapped(f"mend: {one.cure}", width - len(indent)))


def _wrapped(text: str, width: int) -> list[str]:
    text = " ".join(printable(text).split())
    if width < 20:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _summary(findings: Sequence[Finding]) -> str:
    problems, warnings = (sum(one.level == level for one in findings) for level in ("problem", "warning"))
    counts = [counted(problems, "problem")] * bool(problems) + [counted(warnings, "warning")] * bool(warnings)
    return ", ".join(counts) or f"all is well: {counted(len(findings), 'check')}"
