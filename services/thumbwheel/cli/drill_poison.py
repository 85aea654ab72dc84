"""`thumbwheel drill poison`: some of the raters falsify their votes, and what is learned must be no worse for it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import COUNT, SEED, Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thumbwheel.drill.poison import Outcome, Row


@click.command(name="poison", short_help="Let some raters falsify their votes.")
@click.option("--seeds", type=COUNT, default=1, show_default=True, help="How many worlds, each a few minutes.")
@click.option("--first-seed", type=SEED, default=0, show_default=True, help="The first of them.")
@click.option("--data", type=click.Path(path_type=Path), help="Your labelled texts instead of the help desk's.")
@json_option
@pass_context
def poison(context: Context, seeds: int, first_seed: int, data: Path | None) -> None:
    """Learn from votes that 1, 5 and 20 % of the raters falsify, beside honest ones.

    Each row must be as good as the honest votes alone to within 1 % of true quality, in the mean over seeds, or be
    stopped by the gates it names; and a brigade of up to 5 % may move the reward of its target no further than the
    bound beside it. The exit status is 0 only if every row holds. No service is needed, and none is touched.

    \b
    thumbwheel drill poison --seeds 3
    thumbwheel drill poison --data tickets.jsonl
    """
    from transformers.utils import logging

    from thumbwheel.cli.show import Bars
    from thumbwheel.drill.poison import rehearse, rows_of
    from thumbwheel.pretrain.corpus import read_labelled

    labelled = read_labelled(data) if data else ()
    logging.disable_progress_bar()
    with Bars(stderr=True) as bars, tempfile.TemporaryDirectory(prefix="thumbwheel-drill-") as work:
        told = bars.bar("logs learned from")
        outcomes = rehearse(range(first_seed, first_seed + seeds), Path(work), labelled, tell=told)
    rows = rows_of(outcomes)
    if context.json:
        emit_json([_record(row) for row in rows])
    else:
        emit(context, [_told(row) for row in rows], prose="evidence")
    if not all(row.holds for row in rows):
        raise SystemExit(1)


def _record(row: Row) -> dict[str, Any]:
    seeds = [_seed(outcome) for outcome in row.outcomes]
    return {"poison": row.poison, "share": row.share, "lost": row.lost, "holds": row.holds, "seeds": seeds}


def _seed(outcome: Outcome) -> dict[str, Any]:
    learned, say = outcome.learned, outcome.learned.say
    return {
        "seed": outcome.seed,
        "all_honest": outcome.all_honest,
        "clean": outcome.clean,
        "poisoned": learned.quality,
        "lost": outcome.lost,
        "stopped_by": list(learned.stopped_by),
        "votes_of_attackers": learned.votes_of_attackers,
        "weight_of_attackers": learned.weight_of_attackers,
        "target_moved": None if say is None else say.moved,
        "target_bound": None if say is None else say.bound,
    }


def _told(row: Row) -> dict[str, Any]:
    """A row of the table: means over its seeds."""
    return {
        "poison": row.poison,
        "raters": f"{row.share:.0%}",
        "clean": mean(one.clean for one in row.outcomes),
        "poisoned": mean(one.learned.quality for one in row.outcomes),
        "lost": f"{mean(one.lost for one in row.outcomes):+.1%}",
        "good, or gate": _ends(row),
        "holds": row.holds,
        "evidence": _evidence(row.outcomes),
    }


def _ends(row: Row) -> str:
    """How the runs ended, by the first gate that failed; with counts where they differ."""
    passed = "as good" if row.as_good else "GOT THROUGH"
    gates = Counter(one.learned.stopped_by[0] if one.stopped else passed for one in row.outcomes)
    return ", ".join(end if len(gates) == 1 else f"{count} {end}" for end, count in sorted(gates.items()))


def _evidence(group: Sequence[Outcome]) -> str:
    """The attackers' part in votes and in weight, and of their target the seed that came nearest to the bound."""
    votes, weight = (
        mean(getattr(one.learned, name) for one in group) for name in ("votes_of_attackers", "weight_of_attackers")
    )
    honest = mean(one.all_honest for one in group)
    said = f"{votes:.1%} of votes, {weight:.1%} of weight; {honest:.3f} were all honest"
    says = [one.learned.say for one in group if one.learned.say]
    worst = max(says, key=lambda say: say.moved / say.bound, default=None)
    return f"{said}; target moved {worst.moved:.3f} of {worst.bound:.3f}" if worst else said
