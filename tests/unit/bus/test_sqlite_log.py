"""The embedded log on a full, damaged or read-only disk, with a second process, and after an erasure."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thumbwheel.bus import sqlite_log_file
from thumbwheel.bus.port import REQUESTS, EventLog, NewRecord
from thumbwheel.bus.sqlite_log import look_into, open_log
from thumbwheel.errors import InvalidInput, LogUnavailable, SchemaMismatch

MAX_BYTES = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[EventLog]:
    opened = open_log(path, max_bytes=MAX_BYTES)
    yield opened
    opened.close()


def fill(log: EventLog) -> int:
    """Append until the log refuses; return how many records were acknowledged."""
    for number in range(10_000):
        try:
            log.append([NewRecord(REQUESTS, f"{number}-{part}", bytes(2_000)) for part in range(5)])
        except LogUnavailable:
            return number * 5
    raise AssertionError("the bound was never reached")


def count(log: EventLog) -> int:
    return len(log.read(REQUESTS, 0, 0, 1_000_000))


def test_a_full_log_refuses_whole_appends_and_keeps_what_it_acknowledged(log: EventLog, path: Path) -> None:
    acknowledged = fill(log)
    assert acknowledged * 2_000 > MAX_BYTES // 2
    assert count(log) == acknowledged
    with pytest.raises(LogUnavailable, match="full; free some space") as refused:
        log.append([NewRecord(REQUESTS, "k", bytes(100_000))])
    assert refused.value.retry_after_s > 0
    assert path.stat().st_size <= MAX_BYTES
    assert log.fullness() > 0.9


def test_a_full_log_takes_records_again_after_trimming(log: EventLog) -> None:
    acknowledged = fill(log)
    log.trim(REQUESTS, 0, acknowledged // 2)
    assert log.fullness() < 0.6
    log.append([NewRecord(REQUESTS, "k", bytes(100_000))])
    assert count(log) == acknowledged - acknowledged // 2 + 1


def test_a_log_opened_read_only_can_be_read_and_not_written(log: EventLog, path: Path) -> None:
    log.append([NewRecord(REQUESTS, "k", b"text")])
    onlooker = open_log(path, read_only=True)
    try:
        assert [record.payload for record in onlooker.read(REQUESTS, 0, 0, 9)] == [b"text"]
        with pytest.raises(LogUnavailable, match="make the file and its folder writable"):
            onlooker.append([NewRecord(REQUESTS, "k", b"")])
    finally:
        onlooker.close()


def test_an_onlooker_wakes_for_what_another_connection_appends(log: EventLog, path: Path) -> None:
    onlooker = open_log(path, read_only=True)
    try:
        onlooker.wait(0)
        begun = time.monotonic()
        onlooker.wait(0.05)
        assert time.monotonic() - begun >= 0.05  # nothing was appended
        log.append([NewRecord(REQUESTS, "k", b"")])
        onlooker.wait(600)  # the test's own time limit would tell
    finally:
        onlooker.close()


def test_a_second_process_reads(log: EventLog, path: Path) -> None:
    log.append([NewRecord(REQUESTS, "k", b"text")] * 3)
    code = (
        "import sys; from pathlib import Path; from thumbwheel.bus.sqlite_log import open_log;"
        "log = open_log(Path(sys.argv[1]), read_only=True);"
        "sys.exit(len(log.read('thumbwheel.requests', 0, 0, 9)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == 3


def test_two_writers_share_the_file(log: EventLog, path: Path) -> None:
    other = open_log(path, max_bytes=MAX_BYTES)
    try:
        for _ in range(5):
            log.append([NewRecord(REQUESTS, "a", b"")])
            other.append([NewRecord(REQUESTS, "b", b"")])
    finally:
        other.close()
    assert [record.offset for record in log.read(REQUESTS, 0, 0, 99)] == list(range(10))


def test_partitions_of_an_existing_file_stay(path: Path) -> None:
    open_log(path, partitions=3).close()
    again = open_log(path, partitions=8)
    assert list(again.partitions(REQUESTS)) == [0, 1, 2]
    again.close()


def test_a_damaged_file_is_named_as_such(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(LogUnavailable, match="not a database"):
        open_log(path)


def test_a_missing_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="folder exists"):
        open_log(tmp_path / "nowhere" / "log.sqlite")


def test_appends_are_synchronised_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*args: object, **kwargs: object) -> sqlite3.Connection:
        made.append(connect(*args, **kwargs))  # type: ignore[call-overload]
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", remember)
    log = open_log(path)
    pragmas = [made[0].execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    log.close()
    assert pragmas == [2, "wal"]  # 2: FULL


def test_no_byte_of_an_erased_record_stays_on_the_disk(path: Path) -> None:
    log = open_log(path, partitions=3)
    order = random.Random(5)
    keys = [f"{'forget' if order.random() < 0.1 else 'keep'}-{order.getrandbits(64):016x}" for _ in range(2_000)]
    doomed = [key for key in keys if key.startswith("forget")]
    for start in range(0, len(keys), 50):
        log.append(
            [NewRecord(REQUESTS, key, (key * order.randint(1, 300)).encode()) for key in keys[start : start + 50]]
        )
    assert log.erase(doomed) == len(doomed)
    assert b"keep-" in path.read_bytes()
    assert [file.name for file in path.parent.iterdir() if b"forget" in file.read_bytes()] == []
    log.close()


def test_an_erasure_that_a_reader_hinders_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log_file, "_BUSY_TIMEOUT_S", 0.01)
    log = open_log(path)
    log.append([NewRecord(REQUESTS, "k", b"forget")])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM records").fetchone()
    with pytest.raises(LogUnavailable, match="erase again"):
        log.erase(["k"])
    reader.close()
    assert log.erase(["k"]) == 0
    assert [file.name for file in path.parent.iterdir() if b"forget" in file.read_bytes()] == []
    log.close()


def test_what_the_log_behind_it_does_not_take_is_refused_at_once_and_whole(tmp_path: Path) -> None:
    outbox = open_log(tmp_path / "outbox.sqlite", max_record_bytes=1_000)
    with pytest.raises(InvalidInput, match=r"payload: 1001 bytes are more than kafka\.max_record_bytes, 1000"):
        outbox.append([NewRecord(REQUESTS, "k", b"small"), NewRecord(REQUESTS, "k", bytes(1_001 - 128 - 1))])
    assert outbox.end_offset(REQUESTS, 0) == 0
    outbox.append([NewRecord(REQUESTS, "k", bytes(1_000 - 128 - 1))])
    assert outbox.end_offset(REQUESTS, 0) == 1
    outbox.close()


def test_a_log_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    opened = open_log(path)
    opened.append([NewRecord(REQUESTS, "k", b"kept")])
    opened.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    for opening in (open_log, look_into):
        with pytest.raises(SchemaMismatch, match="^log.sqlite: a newer thumbwheel wrote it .format 2, this one reads"):
            opening(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        connection.execute("PRAGMA user_version = 0")  # as before it was kept
    connection.close()
    opened = open_log(path)
    assert count(opened) == 1
    opened.close()
