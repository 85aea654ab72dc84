"""The relay between an outbox on the disk and a log behind it that fails in every way it can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from thumbwheel.bus import relay as relay_module
from thumbwheel.bus.port import FEEDBACK, REQUESTS, EventLog, NewRecord
from thumbwheel.bus.relay import Relay, Shipment
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.errors import InvalidInput, LogUnavailable, ThumbwheelError

MAX_BYTES = 1 << 20


class Downstream:
    """Remembers what was appended. Each append first does what `script` says next, as long as it says something."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.sizes: list[int] = []
        self.script: list[str] = []
        self.accepted = threading.Event()

    def append(self, records: Sequence[NewRecord]) -> None:
        fault = self.script.pop(0) if self.script else ""
        if fault == "away":
            raise LogUnavailable("away", 0.01)
        if fault == "refuse":
            raise InvalidInput("payload", "too large")
        self.sizes.append(len(records))
        self.records += records[:1] if fault == "half" else records
        if fault in ("half", "unheard"):
            raise LogUnavailable("the acknowledgement did not come", 0.01)
        self.accepted.set()

    def payloads(self, topic: str = REQUESTS) -> list[bytes]:
        return [record.payload for record in self.records if record.topic == topic]


class Stop(threading.Event):
    """Remembers how long it was waited for, and is set after so many waits."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._after = after

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) == self._after:
            self.set()
        return self.is_set()


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[[], EventLog]]:
    opened: list[EventLog] = []

    def open_one() -> EventLog:
        opened.append(open_log(tmp_path / "outbox.sqlite", max_bytes=MAX_BYTES, partitions=2))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def outbox(reopen: Callable[[], EventLog]) -> EventLog:
    return reopen()


@pytest.fixture
def downstream() -> Downstream:
    return Downstream()


def relay_to(outbox: EventLog, downstream: Downstream, troubles: list[ThumbwheelError] | None = None) -> Relay:
    heard: list[ThumbwheelError] = [] if troubles is None else troubles
    return Relay(outbox, cast(EventLog, downstream), on_trouble=heard.append)


def numbered(count: int, topic: str = REQUESTS, key: str = "k", first: int = 0) -> list[NewRecord]:
    return [NewRecord(topic, key, b"%d" % number, {"n": b"\xff"}) for number in range(first, first + count)]


def left(outbox: EventLog) -> int:
    topics = (REQUESTS, FEEDBACK)
    return sum(len(outbox.read(topic, one, 0, 10_000)) for topic in topics for one in outbox.partitions(topic))


def test_records_arrive_whole_and_in_order_and_leave_the_outbox(outbox: EventLog, downstream: Downstream) -> None:
    outbox.append([*numbered(5), *numbered(3, FEEDBACK), *numbered(4, key="other", first=100)])
    shipments: list[Shipment] = []
    relay = Relay(outbox, cast(EventLog, downstream), on_ship=shipments.append)
    assert relay.run_once() == 12
    assert downstream.payloads(FEEDBACK) == [b"0", b"1", b"2"]
    for key, first, count in (("k", 0, 5), ("other", 100, 4)):
        assert [one for one in downstream.records if one.key == key and one.topic == REQUESTS] == numbered(
            count, key=key, first=first
        )
    assert left(outbox) == 0
    assert relay.run_once() == 0
    assert sum(one.records for one in shipments if one.topic == REQUESTS) == 9
    assert sum(one.records for one in shipments if one.topic == FEEDBACK) == 3


@pytest.mark.parametrize("fault", ["away", "half", "unheard", "refuse"])
def test_what_was_not_acknowledged_stays(outbox: EventLog, downstream: Downstream, fault: str) -> None:
    outbox.append(numbered(5))
    downstream.script = [fault, fault]
    relay = relay_to(outbox, downstream)
    for _ in range(2):
        with pytest.raises((LogUnavailable, InvalidInput)):
            relay.run_once()
        assert left(outbox) == 5
    assert relay.run_once() == 5
    assert list(dict.fromkeys(downstream.payloads())) == [b"0", b"1", b"2", b"3", b"4"]
    assert left(outbox) == 0


def test_a_trim_that_never_happened_ships_again(
    outbox: EventLog, downstream: Downstream, reopen: Callable[[], EventLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def kill(_topic: str, _partition: int, _before: int) -> int:
        raise Killed

    outbox.append(numbered(3))
    monkeypatch.setattr(outbox, "trim", kill)
    with pytest.raises(Killed):
        relay_to(outbox, downstream).run_once()
    assert relay_to(reopen(), downstream).run_once() == 3
    assert downstream.payloads() == [b"0", b"1", b"2"] * 2


def test_what_was_acknowledged_and_can_not_be_trimmed_is_not_sent_again(
    outbox: EventLog, downstream: Downstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_topic: str, _partition: int, _before: int) -> int:
        raise LogUnavailable("the disk is full", 0.01)

    relay = relay_to(outbox, downstream)
    outbox.append([*numbered(5), *numbered(3, FEEDBACK)])
    with monkeypatch.context() as full:
        full.setattr(outbox, "trim", refuse)
        assert relay.run_once() == 8  # one topic does not wait for the other
        for _ in range(3):
            with pytest.raises(LogUnavailable, match="the disk is full"):
                relay.run_once()
        outbox.append(numbered(2, first=5))
        assert relay.run_once() == 2
    assert left(outbox) == 10
    assert relay.run_once() == 0
    assert left(outbox) == 0
    assert downstream.payloads() == [b"%d" % number for number in range(7)]
    assert downstream.payloads(FEEDBACK) == [b"0", b"1", b"2"]


def test_run_waits_longer_after_each_failure_and_anew_after_a_success(outbox: EventLog, downstream: Downstream) -> None:
    outbox.append(numbered(3))
    troubles: list[ThumbwheelError] = []
    downstream.script = ["away"] * 3 + ["refuse"] * 4
    stop = Stop(after=7)
    relay_to(outbox, downstream, troubles).run(stop)
    assert stop.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert [type(one) for one in troubles] == [LogUnavailable] * 3 + [InvalidInput] * 4
    assert left(outbox) == 3

    downstream.script = ["away", "", "away"]
    stop = Stop(after=2)
    Relay(outbox, cast(EventLog, downstream), lambda _shipment: outbox.append(numbered(1))).run(stop)
    assert stop.waits == [0.5, 0.5]


def test_a_refused_record_holds_up_its_partition_only(outbox: EventLog, downstream: Downstream) -> None:
    outbox.append([*numbered(3), *numbered(2, FEEDBACK)])
    downstream.script = ["refuse"]
    with pytest.raises(InvalidInput):
        relay_to(outbox, downstream).run_once()
    assert (downstream.payloads(), downstream.payloads(FEEDBACK)) == ([], [b"0", b"1"])
    assert left(outbox) == 3


def test_run_ships_what_comes_and_ends_when_told(outbox: EventLog, downstream: Downstream) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=relay_to(outbox, downstream).run, args=(stop,))
    thread.start()
    outbox.append(numbered(1))
    assert downstream.accepted.wait(60)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert left(outbox) == 0


def test_once_all_is_shipped_no_file_of_the_outbox_has_its_text(
    outbox: EventLog, downstream: Downstream, tmp_path: Path
) -> None:
    def files_with_text() -> list[str]:
        return [one.name for one in tmp_path.iterdir() if b"of my heart" in one.read_bytes()]

    outbox.append([NewRecord(REQUESTS, "k", b"words of my heart")])
    assert files_with_text()
    relay, stop = relay_to(outbox, downstream), Ended()
    relay.run(cast(threading.Event, stop))
    assert downstream.payloads() == [b"words of my heart"]
    assert files_with_text() == []


class Ended:
    """Says that it is set when asked for the third time: one round ships, one has nothing to ship."""

    def __init__(self) -> None:
        self.asked = 0

    def is_set(self) -> bool:
        self.asked += 1
        return self.asked == 3


def test_what_waits_is_counted_with_its_age(outbox: EventLog, downstream: Downstream) -> None:
    relay = relay_to(outbox, downstream)
    assert {one.records for one in relay.waiting().values()} == {0}
    assert {one.oldest_us for one in relay.waiting().values()} == {None}
    outbox.append([*numbered(5), *numbered(4, key="other")])
    outbox.append(numbered(2, FEEDBACK))
    outbox.append(numbered(2))
    times = [one.time_us for part in outbox.partitions(REQUESTS) for one in outbox.read(REQUESTS, part, 0, 100)]
    waiting = relay.waiting()
    assert (waiting[REQUESTS].records, waiting[REQUESTS].oldest_us) == (11, min(times))
    assert waiting[FEEDBACK].records == 2
    assert relay.run_once() == 13
    outbox.append(numbered(3))
    assert relay.waiting()[REQUESTS].records == 3


def test_a_full_outbox_refuses_and_takes_again_what_was_shipped(outbox: EventLog, downstream: Downstream) -> None:
    acknowledged = 0
    with pytest.raises(LogUnavailable):
        while True:
            outbox.append([NewRecord(REQUESTS, "k", bytes(20_000))])
            acknowledged += 1
    relay = relay_to(outbox, downstream)
    while relay.run_once():
        pass
    assert len(downstream.records) == acknowledged > 20
    outbox.append([NewRecord(REQUESTS, "k", bytes(20_000))])


def test_large_records_are_shipped_few_at_a_time(
    outbox: EventLog, downstream: Downstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_MOST_RECORDS", 10)
    monkeypatch.setattr(relay_module, "_BATCH_BYTES", 30_000)
    outbox.append([NewRecord(REQUESTS, "k", bytes(10_000)) for _ in range(20)])
    relay = relay_to(outbox, downstream)
    while relay.run_once():
        pass
    assert downstream.sizes == [10, 3, 3, 3, 1]
    outbox.append(numbered(20))
    while relay.run_once():
        pass
    assert downstream.sizes[5:] == [3, 10, 7]
