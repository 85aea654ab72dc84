"""Processes for `test_ingest_crash.py`, made to be killed: they append, ingest, or fill a small disk.

Run as a program it reads lines `role folder database life` and forks a process for each (so that twenty lives don't
pay for twenty imports); it says `pid N` of it, then `dead` when it has ended. Every acknowledged record's id goes to
the ledger, a line each, after the append has returned.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Ingest, Settings
from thumbwheel.errors import Unavailable
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.logging import configure_logging

CALLERS = 4
FILE_LIMIT = 400_000


def now_us() -> int:
    return time.time_ns() // 1_000


def answer(response_id: str, text: str = "text") -> LoggedResponse:
    served = ClassifyAnswer(text, 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(
        response_id, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", now_us(), "", served
    )


def vote(name: str) -> Feedback:
    return Feedback(f"f-{name}", name, "u", "", "p", "v", FeedbackKind.THUMB, now_us(), thumb_up=True)


def append(folder: Path, _database: str, life: str) -> None:
    """Let several callers append answers and votes until killed."""
    committer = GroupCommitter(open_log(folder / "log.sqlite", partitions=3), max_batch=16)
    ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def call(caller: int) -> None:
        number = 0
        while True:
            name = f"{life}-{caller}-{number}"
            # The vote first, every other time: it has to wait for its answer.
            for record in (vote(name), answer(name)) if number % 2 else (answer(name), vote(name)):
                committer.append_blocking([to_log(record)])
                os.write(ledger, f"{'f' if isinstance(record, Feedback) else 'r'} {name}\n".encode())
            number += 1

    for caller in range(CALLERS):
        threading.Thread(target=call, args=(caller,), daemon=True).start()
    ready()


def ingest(folder: Path, database: str, _life: str) -> None:
    """Ingest in small batches until killed."""
    log = open_log(folder / "log.sqlite", partitions=3)
    store = open_store(database)
    ready()
    IngestWorker(Source(log), store, Ingest(batch=5)).run(threading.Event())


def fill_log(folder: Path, _database: str, _life: str) -> None:
    """Append until the disk (a limit on the size of files) is full; print how many were acknowledged."""
    log = open_log(folder / "log.sqlite")
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    acknowledged = 0
    try:
        while True:
            log.append([to_log(answer(f"r{acknowledged}", "x" * 2_000))])
            acknowledged += 1
    except Unavailable as error:
        ready(f"{acknowledged} {error.retry_after_s} {error}")


def fill_store(folder: Path, database: str, _life: str) -> None:
    """Ingest a log that is larger than the disk; print how many records were stored."""
    log = open_log(folder / "log.sqlite")
    store = open_store(database)
    worker = IngestWorker(Source(log), store, Ingest(batch=10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    stored = 0
    try:
        while moved := worker.run_once():
            stored += moved
    except Unavailable as error:
        ready(f"{stored} {error.retry_after_s} {error}")


def ready(line: str = "ready") -> None:
    """Tell the parent, in one write: several processes share the pipe."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


ROLES = {"append": append, "ingest": ingest, "fill_log": fill_log, "fill_store": fill_store}


def serve() -> None:
    """Fork a process for every line of the input."""
    configure_logging(Settings().telemetry)  # to standard error: the parent reads the other
    for line in sys.stdin:
        role, folder, database, life = line.split()
        pid = os.fork()
        if pid == 0:
            ROLES[role](Path(folder), database, life)
            threading.Event().wait()
        ready(f"pid {pid}")
        os.waitpid(pid, 0)
        ready("dead")


if __name__ == "__main__":
    serve()
