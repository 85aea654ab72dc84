"""Tables and plots of accuracies by votes given: mean over seeds, and the worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from thumbwheel.retrain.report.plots import COLOURS, FAINT, STYLE

Curves = Sequence[Mapping[int, float]]
"""Of each seed, the accuracy at some counts of answers given."""


def mean_and_worst(values: Sequence[float]) -> str:
    """`.912 (.905)`, with one value only that; a dash without any."""
    if not values:
        return "-"
    mean, worst = (f"{value:.3f}".removeprefix("0") for value in (fmean(values), min(values)))
    return mean if len(values) == 1 else f"{mean} ({worst})"


def table(first_column: str, rows: Mapping[str, Curves], looks: Sequence[int], whole: Sequence[float]) -> list[str]:
    """Lines of a table: a row for each name, a column for each count, and the last one's share of `whole`."""
    head = [first_column, "start", *(f"{look:,}" for look in looks), "of all true labels"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, curves in rows.items():
        cells = [mean_and_worst([curve[look] for curve in curves if look in curve]) for look in (0, *looks)]
        last = [curve[looks[-1]] for curve in curves if looks[-1] in curve]
        share = f"{fmean(last) / fmean(whole):.3f}" if last and whole else "-"
        lines.append(f"| {' | '.join([name, *cells, share])} |")
    return lines


def curve_figure(rows: Mapping[str, Curves], whole: Sequence[float], title: str, y_label: str = "accuracy") -> Figure:
    """A line of means for each name, a band from the worst to the best seed, and what all true labels reach."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for (name, curves), colour in zip(rows.items(), COLOURS * len(rows), strict=False):
            if not curves:
                continue
            at = sorted(set.intersection(*(set(curve) for curve in curves)))
            columns = [[curve[look] for curve in curves] for look in at]
            shown = [max(look, at[1] / 3) if len(at) > 1 else look for look in at]
            axes.plot(shown, [fmean(column) for column in columns], color=colour, label=name, marker=".")
            axes.fill_between(shown, [*map(min, columns)], [*map(max, columns)], color=colour, alpha=0.15, linewidth=0)
        if whole:
            axes.axhline(fmean(whole), color=FAINT, linestyle="--", label="all true labels")
        axes.set_xscale("log")
        counts = sorted({look for curves in rows.values() for curve in curves for look in curve if look})
        axes.xaxis.set_major_locator(FixedLocator(counts))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("answers given, the first policy at the left edge")
        axes.set_ylabel(y_label)
        axes.set_title(title, loc="left", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    return figure
