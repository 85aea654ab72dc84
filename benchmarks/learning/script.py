"""A benchmark that stands alone, as a piece: it is called, and what it prints is its page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from learning.piece import Absent, Found, Page, Place, Result

_BENCHMARKS = Path(__file__).resolve().parent.parent
_LAST_LINES = 20


@dataclass(frozen=True)
class Script:
    """A call of a benchmark; `needs` is a data folder and a file in it, or empty."""

    script: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    flag: str = "--data"

    @property
    def name(self) -> str:
        """A line of progress."""
        return " ".join((self.script, *self.arguments))

    def run(self, place: Place) -> Found:
        """Call it; what it prints is shown as it comes, and kept. Raises RuntimeError where it fails."""
        command = [sys.executable, str(_BENCHMARKS / f"{self.script}.py"), *self.arguments]
        if self.needs:
            place.folder(*self.needs)
            command += [self.flag, str(place.data if self.flag == "--data" else place.folder(*self.needs))]
        printed = []
        with subprocess.Popen(command, cwd=_BENCHMARKS.parent, stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout or ():
                print(line, end="", flush=True)
                printed.append(line)
        if running.returncode:
            raise Absent(f"{self.name} failed with status {running.returncode}: run it by itself to see why")
        return {"printed": "".join(printed)}


def page(about: str, results: Sequence[Result]) -> Page:
    """What was printed: tables as they are, other lines as text."""
    parts = [about]
    for unit, found in results:
        lines = str(found["printed"]).split("\n")
        told = [line for line in lines if line.startswith("|")] or lines[-_LAST_LINES:]
        parts += [f"`{unit.name}`", "", *told, ""]
    return Page("\n".join(parts))
