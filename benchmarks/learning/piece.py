"""A piece of `make learning`: units of work that are run once and kept, and the page that is made of what they found.

A unit is a frozen dataclass: its fields, its class and the state of the code name its result. Found again, it is not
run again. Units don't know each other, so that several run at once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from matplotlib.figure import Figure

Found = Mapping[str, Any]
"""What a unit found, as JSON can hold it."""


class Absent(Exception):
    """Something a piece needs is not there; the message says what, and how to get it."""


@dataclass(frozen=True)
class Place:
    """Where a unit finds data (None: none was given) and may leave things that others of its kind find again."""

    data: Path | None
    work: Path

    def folder(self, name: str, *files: str) -> Path:
        """A folder of the data. Raises Absent where it, or one of the files, is not there."""
        if self.data is None:
            raise Absent(f"it needs {name}/{files[0]}: give the folder that holds it by --data FOLDER")
        for file in files:
            if not (self.data / name / file).is_file():
                raise Absent(f"there is no {name}/{file} in {self.data}: give the folder that holds it by --data")
        return self.data / name


@runtime_checkable
class Unit(Protocol):
    """One run, by itself."""

    @property
    def name(self) -> str:
        """A line of progress."""

    def run(self, place: Place) -> Found:
        """Do it. Raises Absent where something it needs is not there."""


@dataclass(frozen=True)
class Page:
    """What is written of a piece: Markdown, and plots by the end of their file's name."""

    text: str
    plots: Mapping[str, Figure] = field(default_factory=dict)


Result = tuple[Unit, Found]


@dataclass(frozen=True)
class Piece:
    """`units(small)` are what it runs, `page(results)` what is told of those that ended; small ones take seconds."""

    name: str
    title: str
    minutes: int
    """About how long it takes on two cores."""
    units: Callable[[bool], Sequence[Unit]]
    page: Callable[[Sequence[Result]], Page]


@dataclass(frozen=True)
class Shelf:
    """What units found before, a file each."""

    folder: Path
    state: str
    """Of the code; empty: whatever the code was."""

    def find(self, unit: Unit) -> Found | None:
        """What it found, or None."""
        path = self._path(unit)
        if not path.is_file():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        return dict(kept["found"]) if self.state in ("", kept["state"]) else None

    def put(self, unit: Unit, found: Found, state: str) -> None:
        """Keep what it found, with the state of the code."""
        path = self._path(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"unit": unit.name, "fields": _fields(unit), "state": state, "found": found}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)

    def _path(self, unit: Unit) -> Path:
        about = json.dumps([type(unit).__name__, _fields(unit)], sort_keys=True)
        return self.folder / f"{hashlib.sha256(about.encode()).hexdigest()[:24]}.json"


def _fields(unit: Unit) -> Any:
    return asdict(unit)  # type: ignore[call-overload]


def timed(unit: Unit, place: Place) -> Found:
    """What it finds, with the seconds it took."""
    start = time.perf_counter()
    return {**unit.run(place), "seconds": round(time.perf_counter() - start, 1)}
