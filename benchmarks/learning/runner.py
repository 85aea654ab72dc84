"""Runs pieces: those named, or all; goes on where an earlier call ended; writes each one's page as soon as it can.

    python benchmarks/learning/run.py --list
    python benchmarks/learning/run.py --data FOLDER                      all, some hours of work on two cores
    python benchmarks/learning/run.py thumbs_banking77 --data FOLDER     one

What is found is kept in build/learning by the state of the code and by what was asked, so a call that was ended loses
what was under way and no more. Pages and plots go to benchmarks/learning. FOLDER is a folder of your own that holds
banking77/train.jsonl and others; a piece whose data, or whose peer, is not there says so, and the rest goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from learning.piece import Absent, Found, Piece, Place, Result, Shelf, Unit, timed
from learning.pieces import PIECES
from record import BUILD, code_state, commit

HERE = Path(__file__).resolve().parent
SMALL_END = "-small"


def main(arguments: Sequence[str] | None = None) -> int:
    """Status 0 when every piece that was asked for could be run."""
    given = _options(arguments)
    if given.list:
        for piece in PIECES.values():
            print(f"{piece.name:<22} about {piece.minutes:3d} min  {piece.title}")
        return 0
    state = code_state()
    shelf = Shelf(given.kept, "" if given.any_code else state)
    place = Place(given.data.resolve() if given.data else None, given.kept)
    failed = [name for name in given.names or list(PIECES) if not _run(PIECES[name], shelf, place, state, given)]
    if failed:
        print(f"not whole: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(piece: Piece, shelf: Shelf, place: Place, state: str, given: argparse.Namespace) -> bool:
    """Run what is missing of a piece and write its page; False where something failed."""
    console = Console(stderr=True)
    results: list[Result] = []
    troubles: list[str] = []
    units = [unit for unit in piece.units(given.small) if given.only in unit.name]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(piece.name, total=len(units))
        for unit, found in _found(units, shelf, place, state, given.workers):
            progress.advance(task)
            if isinstance(found, Exception):
                troubles.append(f"{unit.name}: {found}")
                continue
            progress.console.print(f"  {unit.name}: {found.get('told', 'done')}", markup=False, highlight=False)
            results.append((unit, found))
    for trouble in dict.fromkeys(troubles):
        print(f"{piece.name}: {trouble}", file=sys.stderr)
    if results:
        _write(piece, _in_order(units, results), given, troubles)
    return not troubles


def _found(
    units: Sequence[Unit], shelf: Shelf, place: Place, state: str, workers: int
) -> Iterator[tuple[Unit, Found | Exception]]:
    """Each unit with what it found, those found before first; or with what went wrong."""
    missing = []
    for unit in units:
        if (found := shelf.find(unit)) is not None:
            yield unit, found
        else:
            missing.append(unit)
    for unit, done in _done(missing, place, workers):
        if not isinstance(done, Exception):
            shelf.put(unit, done, state)
        yield unit, done


def _done(units: Sequence[Unit], place: Place, workers: int) -> Iterator[tuple[Unit, Found | Exception]]:
    if workers < 2 or len(units) < 2:
        for unit in units:
            yield unit, _safely(unit, place)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        under_way: dict[Future[Found | Exception], Unit] = {pool.submit(_safely, unit, place): unit for unit in units}
        for future in as_completed(under_way):
            yield under_way[future], future.result()


def _safely(unit: Unit, place: Place) -> Found | Exception:
    """What it found, or the reason why it could not be run; a fault in it is raised."""
    try:
        return timed(unit, place)
    except Absent as reason:
        return reason


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _in_order(units: Sequence[Unit], results: Sequence[Result]) -> list[Result]:
    places = {unit: place for place, unit in enumerate(units)}
    return sorted(results, key=lambda result: places[result[0]])


def _write(piece: Piece, results: Sequence[Result], given: argparse.Namespace, troubles: Sequence[str]) -> None:
    name, page = piece.name + SMALL_END * given.small, piece.page(results)
    given.out.mkdir(parents=True, exist_ok=True)
    seconds = sum(float(found["seconds"]) for _, found in results)
    lines = [f"# {piece.title}", "", page.text.strip(), ""]
    lines += [f"![{piece.title}: {end}]({name}-{end}.svg)\n" for end in page.plots]
    lines += [f"Not there: {trouble}.\n" for trouble in dict.fromkeys(troubles)]
    command = f"python benchmarks/learning/run.py {piece.name}" + " --small" * given.small
    lines.append(f"Made by `{command}` at {commit()}; {len(results)} runs, {seconds / 60:.0f} minutes of one core.")
    (given.out / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for end, figure in page.plots.items():
        figure.savefig(given.out / f"{name}-{end}.svg", metadata={"Date": None})
    print(page.text.strip())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PIECES, []], metavar="NAME", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the pieces")
    parser.add_argument("--data", type=Path, help="folder with the user's own data")
    parser.add_argument("--small", action="store_true", help="a small version of each, in seconds")
    parser.add_argument("--only", default="", help="only runs whose name has this in it")
    parser.add_argument("--any-code", action="store_true", help="take what is kept, whatever the code was then")
    parser.add_argument("--workers", type=int, default=2, help="runs at once")
    parser.add_argument("--kept", type=Path, default=BUILD / "learning", help="where what was found is kept")
    parser.add_argument("--out", type=Path, default=HERE, help="where pages and plots go")
    return parser.parse_args(arguments)
