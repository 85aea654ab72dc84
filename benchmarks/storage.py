"""Storage: durable appends through the group commit, and ingest, each beside bare SQLite in the same run.

    python benchmarks/storage.py

Ratios are what counts: absolute figures are those of the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import NewRecord
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.sql import open_store

LABELS = tuple(f"label-{number}" for number in range(20))
ROUNDS = 3


def answer(number: int) -> LoggedResponse:
    served = ClassifyAnswer("where is the card I ordered last week?", 3, LABELS[3], (0.05,) * 20, 0.02, LABELS)
    ref = VersionRef("bank", "v1", "sha256:" + "0" * 64)
    name = f"01890000-0000-7000-8000-{number:012x}"
    return LoggedResponse(name, name, ref, Channel.CHAMPION, "t", f"u{number % 97}", "", number, "", served)


def vote(number: int) -> Feedback:
    name = f"01890000-0000-7000-8000-{number:012x}"
    return Feedback(
        f"f{number}", name, f"u{number % 97}", "t", "bank", "v1", FeedbackKind.THUMB, number, thumb_up=number % 3 > 0
    )


def main() -> None:
    """Measure everything, best of some rounds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000, help="records of a round (default: %(default)s)")
    count = parser.parse_args().records
    records = [to_log(vote(number)) for number in range(count)]
    figures = {
        "bare SQLite, one commit each": best(lambda folder: bare_commits(folder, records[: count // 4])),
        "EventLog.append, one each": best(lambda folder: single_appends(folder, records[: count // 4])),
        "GroupCommitter, 1 caller": best(lambda folder: group_appends(folder, records[: count // 4], callers=1)),
        "GroupCommitter, 64 callers": best(lambda folder: group_appends(folder, records, callers=64)),
        "bare SQLite, 500 rows a commit": best(lambda folder: bare_batches(folder, count)),
        "ingest, answers": best(lambda folder: ingest(folder, count)[0]),
        "ingest, votes": best(lambda folder: ingest(folder, count)[1]),
    }
    single, batch = figures["bare SQLite, one commit each"], figures["bare SQLite, 500 rows a commit"]
    print(f"{'':34}{'records/s':>12}{'to bare':>10}")
    for place, (name, rate) in enumerate(figures.items()):
        print(f"{name:34}{rate:12,.0f}{rate / (single if place < 4 else batch):10.2f}")


def best(measure: Callable[[Path], float]) -> float:
    """Return the best of some rounds, each in a folder of its own."""
    rates = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            rates.append(measure(Path(folder)))
    return max(rates)


def bare(folder: Path, columns: str) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"CREATE TABLE t ({columns})")
    return connection


def bare_commits(folder: Path, records: Sequence[NewRecord]) -> float:
    connection = bare(folder, "id INTEGER PRIMARY KEY, key TEXT, payload BLOB")
    started = time.perf_counter()
    for record in records:
        connection.execute("INSERT INTO t (key, payload) VALUES (?, ?)", (record.key, record.payload))
    rate = len(records) / (time.perf_counter() - started)
    connection.close()
    return rate


def single_appends(folder: Path, records: Sequence[NewRecord]) -> float:
    log = open_log(folder / "log.sqlite")
    started = time.perf_counter()
    for record in records:
        log.append([record])
    rate = len(records) / (time.perf_counter() - started)
    log.close()
    return rate


def group_appends(folder: Path, records: Sequence[NewRecord], callers: int) -> float:
    """Let callers append one record after another, each when its last one is durable."""
    log = open_log(folder / "log.sqlite")
    committer = GroupCommitter(log, max_batch=512)

    async def call(mine: Sequence[NewRecord]) -> None:
        for record in mine:
            await committer.append([record])

    async def all_callers() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(call(records[caller::callers]) for caller in range(callers)))
        return len(records) / (time.perf_counter() - started)

    rate = asyncio.run(all_callers())
    committer.close()
    log.close()
    return rate


def bare_batches(folder: Path, count: int) -> float:
    """Insert answers' bytes with the same indexed columns as the store has, 500 a transaction."""
    connection = bare(folder, "id TEXT PRIMARY KEY, policy TEXT, version TEXT, user TEXT, time_us INT, payload BLOB")
    connection.execute("CREATE INDEX by_version ON t (policy, version)")
    connection.execute("CREATE INDEX by_user ON t (user)")
    payload = to_log(answer(0)).payload
    rows = [(answer(number).response_id, "bank", "v1", f"u{number % 97}", number, payload) for number in range(count)]
    started = time.perf_counter()
    for start in range(0, count, 500):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows[start : start + 500])
        connection.execute("COMMIT")
    rate = count / (time.perf_counter() - started)
    connection.close()
    return rate


def ingest(folder: Path, count: int) -> tuple[float, float]:
    """Return answers/s and votes/s of the whole way: read, decode, apply, commit."""
    log = open_log(folder / "log.sqlite")
    store = open_store(f"sqlite:///{folder / 'store.sqlite'}")
    worker = IngestWorker(Source(log), store, Ingest())
    rates = []
    for make in (answer, vote):
        for start in range(0, count, 500):
            log.append([to_log(make(number)) for number in range(start, min(start + 500, count))])
        started = time.perf_counter()
        moved = worker.drain()
        rates.append(moved / (time.perf_counter() - started))
    store.close()
    log.close()
    return rates[0], rates[1]


if __name__ == "__main__":
    main()
