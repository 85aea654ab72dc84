"""Numbers, times and differences as a reader wants them."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isnan

from thumbwheel.gates.shown_gate import measure
from thumbwheel.retrain.report.data import Comparison

LONGEST_TEXT = 1_200
MICROSECONDS = 1_000_000


def change(row: Comparison) -> str:
    """Candidate less champion, with its sign."""
    difference = row.candidate - row.champion
    if isnan(difference):
        return "–"
    shown = measure(abs(difference), row.unit).replace("%", " points")
    return shown if difference == 0 else f"{'+' if difference > 0 else '−'}{shown}"


def judged(row: Comparison) -> str:
    """`better`, `worse`, or nothing where neither can be said."""
    difference = row.candidate - row.champion
    if not row.better or isnan(difference) or difference == 0:
        return ""
    return "better" if (difference > 0) == (row.better == "higher") else "worse"


def score(value: float) -> str:
    """A reward to stand after a version's name."""
    return "" if isnan(value) else f" · {value:+.2f}".replace("-", "−")


def shorten(text: str) -> str:
    """The text, cut where it gets too long for a page."""
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def anchor(title: str) -> str:
    """The id of the section of that title: `Who voted` -> `who-voted`."""
    return title.lower().replace(" ", "-")


def moment(time_us: int) -> str:
    """Date and time, UTC, to the minute."""
    return datetime.fromtimestamp(time_us / MICROSECONDS, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(started_us: int, ended_us: int) -> str:
    """Time between two moments: `42 s`, `2 min 5 s`, `3 h 4 min`."""
    seconds = max(0, ended_us - started_us) // MICROSECONDS
    minutes, rest = divmod(seconds, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
