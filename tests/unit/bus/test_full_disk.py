"""An outbox on a disk that is really full, with the broker back: it drains, and takes records again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from small_disk import NoSmallDisk, fill_disk, small_disk

from thumbwheel.bus.ballast import Ballast
from thumbwheel.bus.port import REQUESTS, EventLog, NewRecord
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.errors import LogUnavailable

DISK_BYTES = 40 << 20
BALLAST_BYTES = 8 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with small_disk(folder, DISK_BYTES):
            yield folder
    except NoSmallDisk as error:
        pytest.skip(str(error))


class Downstream:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def append(self, records: list[NewRecord]) -> None:
        self.payloads += [one.payload for one in records]


def append_until_refused(outbox: EventLog, first: int) -> int:
    """Append records of 4 KB; return how many were acknowledged."""
    for number in range(first, 100_000):
        try:
            outbox.append([NewRecord(REQUESTS, "k", b"%-4000d" % number)])
        except LogUnavailable:
            return number
    raise AssertionError("the disk was never full")


def test_with_the_disk_full_what_is_shipped_leaves_the_outbox_and_makes_room(disk: Path) -> None:
    outbox = open_log(disk / "log.sqlite", ballast_bytes=BALLAST_BYTES)
    downstream = Downstream()
    relay = Relay(outbox, cast(EventLog, downstream))
    outbox.append([NewRecord(REQUESTS, "k", b"%-4000d" % 0)])
    fill_disk(disk, leave_bytes=2 << 20)
    acknowledged = append_until_refused(outbox, 1)
    fill_disk(disk)
    assert shutil.disk_usage(disk).free == 0
    while relay.run_once():
        pass
    assert outbox.read(REQUESTS, 0, 0, 1) == []
    for _ in range(3):  # without a ballast now, for there is no room for it
        again = append_until_refused(outbox, acknowledged)
        assert again - acknowledged > 100
        acknowledged = again
        while relay.run_once():
            pass
    assert [int(one) for one in downstream.payloads] == list(range(acknowledged))
    outbox.close()


def test_the_ballast_is_real_and_comes_back_when_there_is_room(disk: Path) -> None:
    outbox = open_log(disk / "log.sqlite", ballast_bytes=BALLAST_BYTES)
    ballast = disk / "log.sqlite-ballast"
    assert not ballast.exists()
    outbox.append([NewRecord(REQUESTS, "k", bytes(4_000))])
    assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES
    fill_disk(disk, leave_bytes=2 << 20)
    append_until_refused(outbox, 1)
    filler = fill_disk(disk)
    outbox.trim(REQUESTS, 0, 1 << 30)
    assert not ballast.exists()
    filler.unlink()
    outbox.append([NewRecord(REQUESTS, "k", b"")])
    assert ballast.stat().st_size == BALLAST_BYTES
    outbox.close()


def test_a_disk_without_room_for_it_is_left_alone(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "b", shutil.disk_usage(tmp_path).free)
    assert (ballast.make(), ballast.free(), list(tmp_path.iterdir())) == (False, False, [])
    left = Ballast(tmp_path / "b", 4_096)
    assert left.make() and Ballast(tmp_path / "b", 4_096).free()
    assert list(tmp_path.iterdir()) == []
