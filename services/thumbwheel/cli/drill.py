"""`thumbwheel drill`: what must not reach users is made on purpose, and must be stopped."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.cli.context import COUNT, SEED, Context, json_option, pass_context
from thumbwheel.cli.output import emit, emit_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thumbwheel.drill.poison import Outcome


@click.group(name="drill")
def command() -> None:
    """Rehearse on this machine what must not reach users, and see it stopped.

    \b
    thumbwheel drill poison
    """


@command.command(short_help="Let some of the raters falsify their votes, and see what is learned.")
@click.option("--seeds", type=COUNT, default=1, show_default=True, help="How many worlds, each a few minutes.")
@click.option("--first-seed", type=SEED, default=0, show_default=True, help="The first of them.")
@click.option("--data", type=click.Path(path_type=Path), help="Your labelled texts instead of the help desk's.")
@json_option
@pass_context
def poison(context: Context, seeds: int, first_seed: int, data: Path | None) -> None:
    """Learn from votes that 1, 5 and 20 % of the raters falsify, beside honest ones.

    Each row must be as good as honest votes to within 1 % of true quality, or be stopped by the gates it names; and a
    brigade of 5 % may move the reward of its target no further than the bound beside it. The exit status is 0 only if
    every row holds. No service is needed, and none is touched.

    \b
    thumbwheel drill poison --seeds 3
    thumbwheel drill poison --data tickets.jsonl
    """
    from transformers.utils import logging

    from thumbwheel.cli.show import Bars
    from thumbwheel.drill.poison import rehearse
    from thumbwheel.pretrain.corpus import read_labelled

    labelled = read_labelled(data) if data else ()
    logging.disable_progress_bar()
    with Bars(stderr=True) as bars, tempfile.TemporaryDirectory(prefix="thumbwheel-drill-") as work:
        told = bars.bar("logs learned from")
        outcomes = rehearse(range(first_seed, first_seed + seeds), Path(work), labelled, tell=told)
    if context.json:
        emit_json([_record(outcome) for outcome in outcomes])
    else:
        emit(context, _rows(outcomes))
    if not all(outcome.holds for outcome in outcomes):
        raise SystemExit(1)


def _record(outcome: Outcome) -> dict[str, Any]:
    learned, say = outcome.learned, outcome.learned.say
    return {
        "seed": outcome.seed,
        "poison": outcome.poison,
        "share": outcome.share,
        "all_honest": outcome.all_honest,
        "clean": outcome.clean,
        "poisoned": learned.quality,
        "lost": outcome.lost,
        "stopped_by": list(learned.stopped_by),
        "votes_of_attackers": learned.votes_of_attackers,
        "weight_of_attackers": learned.weight_of_attackers,
        "target_moved": None if say is None else say.moved,
        "target_bound": None if say is None else say.bound,
        "holds": outcome.holds,
    }


def _rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One row a way to falsify and share, over its seeds: means, and the worst of what was lost."""
    grouped: defaultdict[tuple[str, float], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        grouped[outcome.poison, outcome.share].append(outcome)
    return [_row(poison, share, group) for (poison, share), group in grouped.items()]


def _row(poison: str, share: float, group: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "poison": poison,
        "raters": f"{share:.0%}",
        "all honest": mean(one.all_honest for one in group),
        "clean": mean(one.clean for one in group),
        "poisoned": mean(one.learned.quality for one in group),
        "most lost": f"{max(one.lost for one in group):+.1%}",
        "ends": _ends(group),
        "evidence": _evidence(group),
        "holds": all(one.holds for one in group),
    }


def _ends(group: Sequence[Outcome]) -> str:
    """How the logs ended: as good, or stopped by a gate, the first that failed; with counts where they differ."""
    ends: defaultdict[str, int] = defaultdict(int)
    for one in group:
        stopped = f"stopped: {one.learned.stopped_by[0]}" if one.learned.stopped_by else "GOT THROUGH"
        ends["as good" if one.as_good else stopped] += 1
    return ", ".join(end if len(ends) == 1 else f"{count} {end}" for end, count in sorted(ends.items()))


def _evidence(group: Sequence[Outcome]) -> str:
    votes, weight = (
        mean(getattr(one.learned, name) for one in group) for name in ("votes_of_attackers", "weight_of_attackers")
    )
    said = f"{votes:.1%} of votes, {weight:.1%} of weight"
    says = [one.learned.say for one in group if one.learned.say]
    worst = max(says, key=lambda say: say.moved / say.bound, default=None)
    return f"{said}; target moved {worst.moved:.3f} of {worst.bound:.3f}" if worst else said
