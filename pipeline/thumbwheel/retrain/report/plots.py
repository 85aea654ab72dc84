"""Plots as inline SVG: small, one message each, text as text. No display, no shared figure state."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from thumbwheel.ope.intervals import wilson
from thumbwheel.retrain.report.data import Curve, RewardModelFit
from thumbwheel.reward.calibration import reliability

INK = "#334155"
FAINT = "#cbd5e1"
LIMIT = "#b91c1c"
COLOURS = ("#1d4ed8", "#c2410c", "#0f766e", "#7e22ce")
SHOWN_RATERS = 10
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e8f0",
    "xtick.color": INK,
    "ytick.color": INK,
}


def curve_plot(curve: Curve) -> str:
    """The curve's lines over its steps; values that are not finite leave a gap."""

    def draw(axes: Axes) -> None:
        for (name, values), colour in zip(curve.lines.items(), COLOURS * len(curve.lines), strict=False):
            numbers = np.asarray(values, dtype=np.float64)
            shown = np.where(np.isfinite(numbers), numbers, np.nan)
            axes.plot(
                curve.at or np.arange(1, len(shown) + 1), shown, color=colour, label=name, marker=".", markersize=4
            )
        if curve.limit is not None:
            axes.axhline(curve.limit, color=LIMIT, linestyle="--", linewidth=1, label="limit")
        axes.set_xlabel(curve.x_label)
        axes.set_ylabel(curve.unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(curve.lines) > 1 or curve.limit is not None:
            axes.legend(frameon=False, fontsize=9)

    return _svg(draw, curve.title)


def calibration_plot(fit: RewardModelFit, confidence: float = 0.95) -> str:
    """Predicted against observed share of thumbs up in ten bins of equal count, with Wilson's intervals."""
    thumbs_up_N, probabilities_N = (np.asarray(column, np.float64) for column in (fit.thumbs_up, fit.probabilities))
    finite_N = np.isfinite(thumbs_up_N) & np.isfinite(probabilities_N)
    points = reliability(thumbs_up_N[finite_N], probabilities_N[finite_N])

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
        for predicted, observed, count in points:
            seen = wilson(round(observed * count), count, confidence)
            axes.plot([predicted] * 2, [seen.low, seen.high], color=COLOURS[0], alpha=0.4, linewidth=2)
        axes.plot([p for p, _, _ in points], [o for _, o, _ in points], "o", color=COLOURS[0], markersize=5)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted share of thumbs up", ylabel="observed share")

    return _svg(draw, "Predicted against observed thumbs up")


def auc_plot(aucs: Mapping[str, float]) -> str:
    """AUC of the reward model and of simpler models, as bars from a coin's 0.5."""

    def draw(axes: Axes) -> None:
        names = list(aucs)[::-1]
        colours = [COLOURS[0] if name == next(iter(aucs)) else "#94a3b8" for name in names]
        bars = axes.barh(names, [aucs[name] for name in names], color=colours, height=0.6)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.axvline(0.5, color=LIMIT, linestyle="--", linewidth=1)
        axes.set(xlim=(0, 1.1), xlabel="AUC on held-out votes (0.5: a coin)")
        axes.grid(visible=False, axis="y")

    return _svg(draw, "AUC of the reward model and of simpler models")


def raters_plot(per_rater: Mapping[str, int], limit: float | None) -> str:
    """Share of all votes of each of the ten busiest raters; `limit` draws the most that is allowed."""
    total = sum(per_rater.values())
    busiest = sorted(per_rater, key=lambda rater: (-per_rater[rater], rater))[:SHOWN_RATERS]

    def draw(axes: Axes) -> None:
        shares = [100 * per_rater[rater] / total for rater in busiest]
        bars = axes.barh(range(len(busiest)), shares, color=COLOURS[0], height=0.7)
        axes.bar_label(bars, fmt="%.1f%%", padding=3)
        axes.set_yticks(range(len(busiest)), [rater[:8] for rater in busiest])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.25 * max([*shares, 100 * limit if limit else 0]))
        axes.set_xlabel("share of votes, %")
        axes.grid(visible=False, axis="y")
        if limit is not None:
            axes.axvline(100 * limit, color=LIMIT, linestyle="--", linewidth=1)

    return _svg(draw, "Share of votes of the busiest raters")


def has_values(lines: Mapping[str, Sequence[float]]) -> bool:
    """Whether there is anything to draw."""
    return any(np.isfinite(np.asarray(values, dtype=np.float64)).any() for values in lines.values())


class _Draw(Protocol):
    def __call__(self, axes: Axes) -> None: ...


def _svg(draw: _Draw, label: str) -> str:
    """The figure as an `<svg>` element without size, so that the page decides; the same drawing gives the same text."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": label}):
        figure = Figure(figsize=(4.4, 2.7), layout="constrained")
        figure.patch.set_alpha(0.0)
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), label)


def _inline(document: str, label: str) -> str:
    """The `<svg>` element of an SVG document: no prologue, no metadata, no fixed size, no ids of groups.

    matplotlib numbers groups from 1 in every figure; ids must be unique in the page.
    """
    element = document[document.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    head, rest = element.split(">", 1)
    return re.sub(r'\s(width|height)="[^"]*"', "", head) + f' role="img" aria-label="{escape(label)}">{rest}'
