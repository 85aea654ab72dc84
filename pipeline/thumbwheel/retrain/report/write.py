"""From a run's data to `report.html`: one file, no script, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from math import isfinite
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from thumbwheel.durable import write_whole
from thumbwheel.gates.rater_concentration import RaterConcentration
from thumbwheel.gates.shown_gate import ShownGate, measure, shown_gate
from thumbwheel.records import GateResult
from thumbwheel.retrain.report import numbers, plots
from thumbwheel.retrain.report.data import ReportData, Sample
from thumbwheel.retrain.report.gate_bar import gate_bar

MOST_SAMPLES = 20
_OUTCOME = re.compile(r'(<p class="outcome">)[^<]*(</p>)')
_TITLES = {"comparisons": "Champion and candidate", "gates": "Gates", "samples": "Answers side by side"}


def write_report(path: Path, data: ReportData) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when the file can not be written."""
    write_whole(path, render(data))


def tell_outcome(path: Path, outcome: str) -> None:
    """Say in a report what became of its candidate, which is known when the report has long been written.

    May be called again. A report that has no place for it, or is gone, stays as it is.
    """
    if path.exists():
        told = _OUTCOME.sub(lambda place: f"{place[1]}{escape(outcome)}{place[2]}", path.read_text("utf-8"), count=1)
        write_whole(path, told)


def render(data: ReportData) -> str:
    """The page as HTML. Every text of users and models is escaped; the same data give the same page."""
    sections = [section for section in (_course(data), _reward_model(data), _raters(data)) if section]
    return (
        _environment()
        .from_string(_package_text("report.html.j2"))
        .render(
            data=data,
            css=Markup(_package_text("report.css")),
            titles=_TITLES,
            contents=_contents(data, sections),
            facts=_facts(data),
            gates=[_gate_row(result) for result in data.verdict.gates] if data.verdict else [],
            samples=_grouped(data.samples[:MOST_SAMPLES]),
            plots=sections,
            tables=_tables(data),
        )
    )


@dataclass(frozen=True, slots=True)
class GateRow:
    """A gate as the table shows it: in words, and drawn."""

    shown: ShownGate
    bar: Markup


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its title, and a sentence on what to look for."""

    title: str
    look_for: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class PlotSection:
    """A heading with plots below it, and facts in words below these."""

    title: str
    figures: Sequence[Figure]
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: list[Callable[..., str]] = [
        measure,
        numbers.change,
        numbers.judged,
        numbers.score,
        numbers.shorten,
        numbers.anchor,
        numbers.moment,
    ]
    environment.filters.update({function.__name__: function for function in filters})
    return environment


def _package_text(name: str) -> str:
    return (resources.files("thumbwheel.retrain.report") / name).read_text(encoding="utf-8")


def _drawn(svg: str) -> Markup:
    """Our own drawing, whose texts are escaped already."""
    return Markup(svg)


def _contents(data: ReportData, sections: Sequence[PlotSection]) -> list[str]:
    """The titles of the sections that the page has, in its order."""
    has = {
        "comparisons": data.comparisons,
        "gates": data.verdict and data.verdict.gates,
        "samples": data.samples,
    }
    comparisons, gates, samples = ([title] if has[part] else [] for part, title in _TITLES.items())
    plotted, tables = [section.title for section in sections], [title for title, _ in _tables(data)]
    return [*comparisons, *gates, *samples, *plotted, *tables]


def _facts(data: ReportData) -> list[tuple[str, str]]:
    facts = []
    if data.verdict and data.verdict.gates:
        passed = sum(result.passed for result in data.verdict.gates)
        facts.append(("Gates passed", f"{passed} of {len(data.verdict.gates)}"))
    votes = data.votes_up + data.votes_down
    if votes:
        facts += [("Votes", f"{votes:,}"), ("Thumbs up", f"{data.votes_up / votes:.0%}")]
    if data.per_rater:
        facts.append(("Raters", f"{len(data.per_rater):,}"))
    if data.started_us and data.ended_us:
        facts.append(("Took", numbers.duration(data.started_us, data.ended_us)))
    return facts


def _gate_row(result: GateResult) -> GateRow:
    shown = shown_gate(result)
    return GateRow(shown, _drawn(gate_bar(result, shown.rule)))


def _grouped(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    return [(group, list(shown)) for group, shown in groupby(samples, key=lambda sample: sample.group)]


def _course(data: ReportData) -> PlotSection | None:
    shown = [curve for curve in data.curves if plots.has_values(curve.lines)]
    drawn = [Figure(curve.title, curve.look_for, _drawn(plots.curve_plot(curve))) for curve in shown]
    notes = " ".join(curve.note for curve in shown if curve.note)
    return PlotSection("How it learned", drawn, notes) if drawn else None


def _reward_model(data: ReportData) -> PlotSection | None:
    fit = data.reward_model
    if fit is None:
        return None
    figures = []
    if len(fit.thumbs_up):
        look_for = "Dots on the dashed line: what it predicts is what users do."
        figures.append(Figure("When it says 80%, do 80% vote up?", look_for, _drawn(plots.calibration_plot(fit))))
    aucs = {name: auc for name, auc in {"reward model": fit.auc, **fit.baselines}.items() if isfinite(auc)}
    if len(aucs) > 1:
        look_for = "Its bar longer than the grey ones; one at the red line sees no more than a coin."
        figures.append(Figure("Does it see more than simpler models?", look_for, _drawn(plots.auc_plot(aucs))))
    text = f"On {len(fit.thumbs_up):,} votes of users who were not learned from."
    if len(aucs) == 1:
        text += f" AUC {fit.auc:.2f}, where a coin has 0.50."
    return PlotSection("The reward model", figures, text, list(fit.facts.items())) if figures else None


def _raters(data: ReportData) -> PlotSection | None:
    total = sum(data.per_rater.values())
    if total <= 0:
        return None
    gates = data.verdict.gates if data.verdict else ()
    limit = next((result.threshold for result in gates if result.name == RaterConcentration.name), None)
    if len(data.per_rater) == 1:
        return PlotSection("Who voted", [], f"One rater gave all {total:,} votes.")
    shown = min(plots.SHOWN_RATERS, len(data.per_rater))
    share = sum(sorted(data.per_rater.values(), reverse=True)[:shown]) / total
    text = f"The busiest {shown} of {len(data.per_rater):,} raters gave {share:.0%} of {total:,} votes."
    look_for = "Bars of about the same length, and none beyond the red line, the most that one rater may have."
    figure = Figure("The busiest raters, by pseudonym", look_for, _drawn(plots.raters_plot(data.per_rater, limit)))
    return PlotSection("Who voted", [figure], text)


def _tables(data: ReportData) -> list[tuple[str, list[tuple[str, object]]]]:
    tables: list[tuple[str, list[tuple[str, object]]]] = [
        ("Where it comes from", list(data.lineage.items())),
        ("Seeds", list(data.seeds.items())),
        ("Configuration", list(data.config.items())),
    ]
    return [(title, pairs) for title, pairs in tables if pairs]
