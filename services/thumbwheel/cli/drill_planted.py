"""`thumbwheel drill planted`: policies that are bad on purpose, and where each was stopped."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import SEED, Context, IntRange, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json

if TYPE_CHECKING:
    from thumbwheel.drill.planted_drill import Drilled, Outcome

_SEEDS = IntRange(1, 1_000)


@click.command(name="planted", short_help="Let loose policies that are bad in a dozen ways.")
@click.option("--seeds", type=_SEEDS, default=1, show_default=True, help="How often, each time in another world.")
@click.option("--first-seed", type=SEED, default=0, show_default=True, help="The first of the seeds.")
@json_option
@pass_context
def planted(context: Context, seeds: int, first_seed: int) -> None:
    """Plant policies that are bad in a dozen ways, and see which gate, or the canary, stops each.

    Each is a small policy of the help desk, with users' votes on its champion, before the same judge as a run's. Two
    honest ones have to pass, and so have four of five candidates with a true gain of 3 %, and at most one of twenty
    without a gain. A seed takes about three minutes on one core.

    \b
    thumbwheel drill planted
    thumbwheel drill planted --seeds 20
    """
    from thumbwheel.cli.show import Bars
    from thumbwheel.drill.planted_drill import PIECES, run_drill

    every = range(first_seed, first_seed + seeds)
    with tempfile.TemporaryDirectory(prefix="thumbwheel-drill-") as folder, Bars(stderr=True) as bars:
        found = run_drill(every, Path(folder), bars.counter("planted policies", seeds * PIECES))
    if context.json:
        emit_json({"outcomes": [asdict(one) for one in found.outcomes], "gains": list(_gains(found))})
    else:
        _show(context, found)
    raise SystemExit(0 if found.good else 1)


def _show(context: Context, found: Drilled) -> None:
    by_plant: defaultdict[str, list[Outcome]] = defaultdict(list)
    for one in found.outcomes:
        by_plant[one.plant].append(one)
    emit(context, [_row(outcomes) for outcomes in by_plant.values()], title="Planted policies", prose="evidence")
    emit(context, list(_gains(found)), title="\nCandidates whose gain is known")
    for one in found.outcomes:
        if not one.well:
            click.secho(f"seed {one.seed}: {one.plant}: {_fault(one)}", fg="red", err=True)


def _fault(one: Outcome) -> str:
    if not one.should:
        return f"it gains, and was stopped by {one.stopped_by}: {one.evidence}"
    return f"stopped by {one.stopped_by}, should be by {one.should}" if one.stopped_by else "it got through"


def _row(outcomes: list[Outcome]) -> dict[str, Any]:
    """One line for all seeds of a plant: one that did not go well, if any did not. It fits 80 columns."""
    first = next((one for one in outcomes if not one.well), outcomes[0])
    gate, *others = first.should.split(" or ")
    also = f" (+ {len(first.also)})" if first.also else ""
    return {
        "planted": first.plant,
        "should stop at": f"{gate} …" if others else gate or "nothing: it gains",
        "stopped at": f"{first.stopped_by}{also}" if first.stopped_by else "nothing",
        "well": f"{sum(one.well for one in outcomes)}/{len(outcomes)}",
        "evidence": f"It {first.what}. {first.evidence}",
    }


def _gains(found: Drilled) -> Iterator[dict[str, Any]]:
    from thumbwheel.drill.planted_drill import LEAST_GAINS_PASSED, MOST_WITHOUT_PASSED

    for kind in sorted({one.kind for one in found.passed}):
        draws = sum(one.draws for one in found.passed if one.kind is kind)
        gains = ("3 %", found.gains_passed(kind), f">= {LEAST_GAINS_PASSED}")
        none = ("none", found.without_passed(kind), f"<= {MOST_WITHOUT_PASSED}")
        for gain, share, wanted in (gains, none):
            passed = {"passed": share.value, "low": share.low, "high": share.high}
            yield {"kind": kind.value, "true gain": gain, "draws": draws, **passed, "wanted": wanted}
