"""The store with ten thousand, a hundred thousand and a million answers: what freeze, the operators' page, erasure,
retention and ingest take of time and memory, on SQLite and on a PostgreSQL server that it starts.

    python benchmarks/store_at_scale.py [--database sqlite] [--answers 10000 100000 1000000]

Each is measured in a process of its own: the processor's time that it and the database server take, and the peak of its
resident set above what it had when it began.
Figures are kept in `build/`, and recorded once all three sizes of a database have been measured. A database is at most
linear in time if ten times the answers take at most ten times as long, with a fifth for noise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import psutil
from filled_store import END_MS, START_MS, fill, response_id, user
from postgres_server import CURE, find_binaries, running_server
from query_plans import fill_others, planned, use_everything, whole
from recorded_batch import recorded_batch

from record import BUILD, record
from thumbwheel.database.engine import connect
from thumbwheel.database.slices import DAY_MS
from thumbwheel.dataset.freeze import freeze
from thumbwheel.dataset.manifest import Request
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, PolicyKind, VersionRef
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import SqlStore, open_store

SIZES = (10_000, 100_000, 1_000_000)
KEPT = BUILD / "store_at_scale.json"
COMMAND = "python benchmarks/store_at_scale.py"
GROWTH = 12.0  # for ten times the answers
MEMORY_MIB = 128.0
INGEST_ROWS = 500
_Figures = dict[str, dict[str, dict[str, tuple[float, float]]]]  # database -> work -> answers -> (seconds, MiB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--answers", type=int, nargs="+", default=SIZES)
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)  # what a child does, and on which URL
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        print(json.dumps(measured(chosen.work, chosen.url)))
        return
    for database in chosen.database or ["sqlite", "postgresql"]:
        for answers in chosen.answers:
            with emptied(database) as (url, server):
                measure_all(database, answers, url, server)
        tell(database)


# --- a child's work -----------------------------------------------------------------------------------------


def freeze_support(store: FeedbackStore) -> None:
    with tempfile.TemporaryDirectory() as folder:
        freeze(
            store,
            Request("support", PolicyKind.CLASSIFY, store.watermark(), 0, 0.2, 200, 1),
            Path(folder) / "snapshot",
        )


def operators_page(store: FeedbackStore) -> None:
    for policy in ("support", "intent", "reply"):
        store.vote_counts(policy)
        store.new_votes(policy, store.watermark() - 1_000)
        store.runs(policy, 20)
        store.audit_trail(policy, 20)
    store.count_orphans()
    store.count_dead_letters()


def erase_one(store: FeedbackStore) -> None:
    who = user(7)
    store.answers_concerning(who)
    store.erase_user(who)


def forget_half(store: FeedbackStore) -> None:
    store.forget_before((START_MS + 90 * DAY_MS) * 1_000, 15)


def ingest_batches(store: FeedbackStore) -> None:
    """Twenty transactions, each of so many answers and a thumb on each."""
    served = ClassifyAnswer("where is my card?", 0, "a", (0.05,) * 20, 0.02, tuple(f"label-{one}" for one in range(20)))
    ref = VersionRef("support", "v12", "d")
    for offset in range(20):
        names = [response_id(END_MS + offset, offset * INGEST_ROWS + number) for number in range(INGEST_ROWS)]
        answers = [LoggedResponse(one, "q", ref, Channel.CHAMPION, "", user(3), "", 1, "", served) for one in names]
        votes = [
            Feedback(f"f-{one}", one, user(3), "", "support", "v12", FeedbackKind.THUMB, 1, thumb_up=True)
            for one in names
        ]
        store.apply(recorded_batch("bench", "t", 0, offset, offset + 1, answers, votes))


WORK: dict[str, Callable[[FeedbackStore], None]] = {
    "operators' page": operators_page,
    "freeze": freeze_support,
    "ingest": ingest_batches,
    "erasure": erase_one,
    "retention": forget_half,  # the last: it leaves half
}


def plans(url: str) -> tuple[int, int]:
    """Return how many statements the store makes, and how many of them read a whole table that grows."""
    engine = connect(url)
    fill_others(engine)
    with planned(engine) as found:
        use_everything(SqlStore(engine))
    engine.dispose()
    statements = {statement for _, statement in found}
    print(whole(found), file=sys.stderr)
    return len(statements), len({statement for step, statement in found if step.startswith("all ")})


def measured(work: str, url: str) -> tuple[float, float]:
    """Do it; return seconds of the processor in this process, and MiB."""
    store = open_store(url)
    store.watermark()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak until now
    before = peak_mib()
    started = time.process_time()
    WORK[work](store)
    seconds = time.process_time() - started
    peak = peak_mib()
    store.close()
    return seconds, peak - before


def peak_mib() -> float:
    """The most that was resident of this process, MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


# --- all of them --------------------------------------------------------------------------------------------


@contextmanager
def emptied(database: str) -> Iterator[tuple[str, int]]:
    """Yield the URL of an empty database and the process id of its server, 0 without one."""
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/store.sqlite", 0
        return
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit(CURE)
    with running_server(binaries) as server, server.database() as url:
        yield url, int((server.data / "postmaster.pid").read_text().split()[0])


def measure_all(database: str, answers: int, url: str, server: int) -> None:
    started = time.perf_counter()
    fill(url, answers)
    print(f"{database}, {answers:,} answers, filled in {time.perf_counter() - started:.0f} s", flush=True)
    if answers == SIZES[-1]:
        statements, reading_all = plans(url)
        note = f"of {statements} statements of ingest, pages, freeze, runs, erasure and retention, by EXPLAIN"
        name = f"store at a million answers, statements that read a whole table, {database}"
        record(name, reading_all, "statements", "<= 0", reading_all == 0, COMMAND, note)
    for work in WORK:
        command = [sys.executable, __file__, "--work", work, "--url", url]
        before, started = server_s(server), time.perf_counter()
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
        whole = time.perf_counter() - started
        seconds, mib = json.loads(done.stdout)
        seconds += server_s(server) - before
        print(f"  {work:18}{seconds:10.3f} s of the processor{whole:10.1f} s{mib:10.1f} MiB", flush=True)
        figures = kept()
        figures.setdefault(database, {}).setdefault(work, {})[str(answers)] = (seconds, mib)
        BUILD.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(figures))


def server_s(server: int) -> float:
    """Seconds that the database server's processes have taken of the processor; 0 without one."""
    total = 0.0
    for process in [psutil.Process(server), *psutil.Process(server).children()] if server else ():
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def kept() -> _Figures:
    figures: _Figures = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return figures


def tell(database: str) -> None:
    """Record what has been measured at every size."""
    for work, by_size in kept().get(database, {}).items():
        if not all(str(size) in by_size for size in SIZES):
            continue
        times, memory = ([by_size[str(size)][place] for size in SIZES] for place in (0, 1))
        said = ", ".join(
            f"{size:,}: {seconds:.3f} s, {mib:.0f} MiB" for size, seconds, mib in zip(SIZES, times, memory, strict=True)
        )
        growth = times[2] / times[1]
        name = f"store at a million answers, {work}, {database}"
        record(
            f"{name}, growth",
            growth,
            "times 100,000's processor time",
            f"<= {GROWTH:g}",
            growth <= GROWTH,
            COMMAND,
            said,
        )
        record(f"{name}, memory", memory[2], "MiB", f"<= {MEMORY_MIB:g}", memory[2] <= MEMORY_MIB, COMMAND, said)


if __name__ == "__main__":
    main()
