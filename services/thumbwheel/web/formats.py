"""Figures as people read them: the filters of the templates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from thumbwheel.gates.shown_gate import shown_gate
from thumbwheel.records import Run, RunState

_DASH = "–"
_MOST_TO_ONE = 1_000_000


def percent(value: float) -> str:
    """0.7134 -> "71.3 %"; a dash for NaN."""
    return _DASH if math.isnan(value) else f"{100 * value:.1f}\u202f%"


def percents(text: str) -> str:
    """A sentence with its percentages written as `percent` writes them."""
    return re.sub(r"(?<=\d) ?%", "\u202f%", text)


def points(value: float) -> str:
    """A difference of shares in percentage points: -0.142 -> "−14.2"."""
    return f"{100 * value:+.1f}".replace("-", "−")


def e_value(log_e: float) -> str:
    """The logarithm of evidence -> how many to 1 it speaks against a claim."""
    return figure(math.exp(log_e)) if log_e < math.log(_MOST_TO_ONE) else f"over {_MOST_TO_ONE:,}"


def figure(value: float) -> str:
    """A number in three significant digits, from a thousand on in whole ones; a dash for NaN."""
    if math.isnan(value):
        return _DASH
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def count(value: int) -> str:
    """12345 -> "12,345"."""
    return f"{value:,}"


def iso(time_us: int) -> str:
    """Microseconds since the epoch -> ISO 8601 in UTC, for `datetime` attributes."""
    return _utc(time_us).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(time_us: int) -> str:
    """Microseconds since the epoch -> "2026-11-21 03:14 UTC"."""
    return _utc(time_us).strftime("%Y-%m-%d %H:%M UTC")


def duration(span_us: int) -> str:
    """Microseconds -> "4 s", "3 min 20 s", "2 h 5 min"."""
    seconds = max(0, span_us // 1_000_000)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def course(run: Run) -> str:
    """From which version to which a run led: "v1 → v2", "v1 → candidate: refused"."""
    if run.state is not RunState.REJECTED:
        return f"{run.parent_version} → {run.candidate_version or 'candidate'}"
    if run.candidate_version:
        return f"{run.parent_version} → {run.candidate_version}: not promoted"
    return f"{run.parent_version} → candidate: refused" if run.gates else f"{run.parent_version} → no candidate"


def short_digest(digest: str) -> str:
    """ "sha256:0123456789abcdef..." -> "0123456789"."""
    return digest.rpartition(":")[2][:10]


def _utc(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)


FILTERS: dict[str, Callable[..., object]] = {
    "course": course,
    "percent": percent,
    "percents": percents,
    "points": points,
    "e_value": e_value,
    "figure": figure,
    "count": count,
    "iso": iso,
    "moment": moment,
    "duration": duration,
    "short_digest": short_digest,
    "shown_gate": shown_gate,
}
