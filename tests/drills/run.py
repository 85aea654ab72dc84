"""Drills: real servers, real processes, real kills, and a balance sheet at the end.

    \b
    make drills                                every drill
    make drills ARGS="broker-away --seed 3"    one of them, by its name

Status 0 only if every balance holds.
"""

from __future__ import annotations

import sys
import time

import click
import clock_back
import disk_full
import ingest_killed
import long_run
import on_ray
import parts_away
import service_killed
import store_away
from balance_sheet import Sheet
from rich.console import Console
from yard import Missing, yard

from record import record

DRILLS = {
    "ingest-killed": ingest_killed.drill,
    "service-killed": service_killed.with_outbox,
    "service-and-disk-lost": service_killed.with_its_disk,
    "broker-away": parts_away.broker,
    "database-away": parts_away.database,
    "ray-killed": on_ray.killed,
    "ray-and-disk-lost": on_ray.killed_with_its_disk,
    "ray-and-disk-lost-answers-at-broker": on_ray.killed_with_answers_at_broker,
    "ray-swaps": on_ray.swapped,
    "store-away": store_away.drill,
    "clock-back": clock_back.drill,
    "disk-full": disk_full.drill,
    "long-run": long_run.drill,
}
_console = Console(width=120)


@click.command(help=__doc__, epilog=f"Drills: {', '.join(DRILLS)}")
@click.argument("names", nargs=-1, type=click.Choice(list(DRILLS)), metavar="[NAME]...")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other moments.")
@click.option("--share", type=click.FloatRange(0.01, 1), default=1.0, show_default=True, help="Do only a part of each.")
@click.option("--record", "keep", is_flag=True, help="Write the balances to benchmarks/results.json.")
def main(names: tuple[str, ...], seed: int, share: float, keep: bool) -> None:
    sheets = [_run(name, seed, share) for name in names or DRILLS]
    if keep and share == 1.0:
        for sheet in sheets:
            _record(sheet)
    failed = [sheet.drill for sheet in sheets if not sheet.holds]
    _console.print(f"{len(sheets) - len(failed)} of {len(sheets)} drills balance")
    sys.exit(1 if failed else 0)


def _run(name: str, seed: int, share: float) -> Sheet:
    began = time.monotonic()
    with _console.status(name) as status, yard(seed, share, lambda said: status.update(f"{name}: {said}")) as place:
        try:
            sheet = DRILLS[name](place)
        except Missing as missing:
            raise click.ClickException(str(missing)) from missing
    sheet.facts["time"] = f"{time.monotonic() - began:.0f} s"
    _console.print(sheet.table())
    return sheet


def _record(sheet: Sheet) -> None:
    note = "; ".join(f"{line.what}: {line.seen:,} of {line.expected:,}" for line in sheet.lines)
    facts = "; ".join(f"{what}: {value}" for what, value in sheet.facts.items())
    command = f"make drills ARGS='{sheet.drill} --seed {sheet.seed}'"
    record(f"drill {sheet.drill}", sheet.imbalance, "events", "= 0", sheet.holds, command, f"{note}; {facts}")


if __name__ == "__main__":
    main()
