"""What every event log does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from foreign_records import FORMS, NO_TEXT, send_foreign

from thumbwheel.bus.port import FEEDBACK, FOREIGN_NAME, REQUESTS, TOPICS, USER_KEYS, EventLog, NewRecord, StoredRecord
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import Conflict, InvalidInput

OpenLog = Callable[[], EventLog]
# Either a log removes records and has a bound, or how long they stay and how many is decided elsewhere.
removing = pytest.mark.parametrize("reopen", ["sqlite"], indirect=True)
keeping = pytest.mark.parametrize("reopen", ["kafka"], indirect=True)
# Others than the service can write into it.
shared = pytest.mark.parametrize("reopen", ["kafka", "sealed kafka"], indirect=True)


def records(keys: Sequence[str], topic: str = REQUESTS) -> list[NewRecord]:
    return [NewRecord(topic, key, f"{number}".encode()) for number, key in enumerate(keys)]


def everything(log: EventLog, topic: str = REQUESTS) -> list[StoredRecord]:
    return [record for partition in log.partitions(topic) for record in log.read(topic, partition, 0, 100_000)]


def place(log: EventLog, key: str, topic: str = REQUESTS) -> StoredRecord:
    return next(record for record in everything(log, topic) if record.key == key)


def test_a_record_is_read_back_as_it_was_appended(log: EventLog) -> None:
    before_us = time.time_ns() // 1_000_000 * 1_000  # as exact as every log is
    log.append([NewRecord(FEEDBACK, "k\u00e9y", b"\x00\xff payload", {"schema": b"v1", "raw": b"\x00\xfe"})])
    (found,) = everything(log, FEEDBACK)
    assert (found.topic, found.key, found.payload) == (FEEDBACK, "k\u00e9y", b"\x00\xff payload")
    assert dict(found.headers) == {"schema": b"v1", "raw": b"\x00\xfe"}
    assert before_us <= found.time_us <= time.time_ns() // 1_000
    assert found.offset == 0


def test_offsets_start_at_zero_and_grow(log: EventLog) -> None:
    log.append(records(["same"] * 5))
    log.append(records(["same"] * 5))
    found = everything(log)
    assert [record.payload for record in found] == [b"0", b"1", b"2", b"3", b"4"] * 2
    offsets = [record.offset for record in found]
    assert offsets[0] == 0
    assert offsets == sorted(set(offsets))
    assert log.end_offset(REQUESTS, found[0].partition) > offsets[-1]


def test_reading_starts_at_the_offset_and_stops_at_the_limit(log: EventLog) -> None:
    log.append(records(["same"] * 10))
    partition = everything(log)[0].partition
    offsets = [record.offset for record in everything(log)]
    page = log.read(REQUESTS, partition, offsets[3], 4)
    assert [record.payload for record in page] == [b"3", b"4", b"5", b"6"]
    assert log.read(REQUESTS, partition, offsets[-1] + 1, 4) == []
    assert log.read(REQUESTS, partition, log.end_offset(REQUESTS, partition), 4) == []


def test_an_empty_partition_ends_at_zero(log: EventLog) -> None:
    assert [log.end_offset(topic, partition) for topic in TOPICS for partition in log.partitions(topic)] == [0] * 8
    log.append([])
    assert everything(log) == []


def test_a_log_begins_at_zero_until_it_drops_something_by_itself(log: EventLog) -> None:
    log.append(records(["a", "b", "c"]))
    assert [log.begin_offset(topic, partition) for topic in TOPICS for partition in log.partitions(topic)] == [0] * 8


@removing
def test_what_was_trimmed_or_erased_was_not_dropped(log: EventLog) -> None:
    log.append(records(["same"] * 4))
    partition = everything(log)[0].partition
    log.trim(REQUESTS, partition, 2)
    log.erase(["same"])
    assert log.begin_offset(REQUESTS, partition) == 0


def test_a_topic_stays_the_same_over_a_restart(log: EventLog, reopen: OpenLog) -> None:
    log.append(records(["a"]))
    before = [log.identity(topic) for topic in TOPICS]
    log.close()
    assert [reopen().identity(topic) for topic in TOPICS] == before
    assert before == ["", ""] or len({*before, ""}) == 3


def test_topics_are_apart(log: EventLog) -> None:
    log.append([*records(["a"], REQUESTS), *records(["b", "c"], FEEDBACK)])
    assert [record.key for record in everything(log, REQUESTS)] == ["a"]
    assert sorted(record.key for record in everything(log, FEEDBACK)) == ["b", "c"]


def test_a_key_stays_in_its_partition_across_topics_and_restarts(log: EventLog, reopen: OpenLog) -> None:
    keys = [f"key-{number}" for number in range(50)]
    log.append(records(keys))
    log.close()
    again = reopen()
    again.append(records(keys, FEEDBACK))
    partition_of = {record.key: record.partition for record in everything(again)}
    assert {record.key: record.partition for record in everything(again, FEEDBACK)} == partition_of
    assert len(set(partition_of.values())) == len(again.partitions(REQUESTS))


def test_a_key_has_the_same_partition_in_every_log(log: EventLog) -> None:
    log.append(records(["a", "b", "answer-17", "\u00e9"]))
    found = {record.key: record.partition for record in everything(log)}
    assert found == {"a": 3, "b": 1, "answer-17": 3, "\u00e9": 2}


def test_all_or_none(log: EventLog) -> None:
    with pytest.raises(InvalidInput, match="unknown-topic"):
        log.append([*records(["a"]), NewRecord("unknown-topic", "b", b"")])
    assert everything(log) == []
    assert [log.end_offset(REQUESTS, partition) for partition in log.partitions(REQUESTS)] == [0] * 4


def test_a_restart_keeps_everything(log: EventLog, reopen: OpenLog) -> None:
    log.append(records(["a", "b", "c"]))
    before = everything(log)
    log.close()
    again = reopen()
    assert everything(again) == before
    again.append(records(["a"]))
    assert len(everything(again)) == 4


def test_threads_append_at_once_and_each_key_keeps_its_order(log: EventLog) -> None:
    def write(key: str) -> None:
        for number in range(25):
            log.append([NewRecord(REQUESTS, key, f"{number}".encode())])

    threads = [threading.Thread(target=write, args=(f"key-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = everything(log)
    for number in range(8):
        assert [int(record.payload) for record in found if record.key == f"key-{number}"] == list(range(25))


QUIET_S = 0.05


def waited(log: EventLog) -> float:
    """Wait `QUIET_S` for news; return the seconds it took."""
    begun = time.monotonic()
    log.wait(QUIET_S)
    return time.monotonic() - begun


def settle(log: EventLog) -> None:
    """Have all news so far seen."""
    log.wait(0)


def test_wait_misses_nothing_appended_before_it(log: EventLog) -> None:
    settle(log)
    log.append(records(["a"]))
    log.wait(600)  # the test's own time limit would tell
    assert waited(log) >= QUIET_S  # so it was the news that ended the wait before


def test_wait_wakes_for_an_append_of_another_thread(log: EventLog) -> None:
    waiting, woken = threading.Event(), threading.Event()

    def watch() -> None:
        log.wait(0)
        waiting.set()
        log.wait(600)
        woken.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert waiting.wait(60)
    assert not woken.is_set()
    log.append(records(["a"]))
    thread.join(60)
    assert woken.is_set()


def test_wait_lasts_while_there_is_no_news_and_ends(log: EventLog) -> None:
    settle(log)
    assert waited(log) >= QUIET_S


@removing
def test_erase_removes_the_keys_and_leaves_gaps(log: EventLog) -> None:
    log.append(records(["a", "b", "a", "c"]))
    log.append(records(["a"], FEEDBACK))
    end_of_a = log.end_offset(REQUESTS, place(log, "a").partition)
    partition_of_a = place(log, "a").partition
    offset_of_b = place(log, "b").offset
    assert log.erase(["a", "nobody"]) == 3
    assert sorted(record.key for record in everything(log)) == ["b", "c"]
    assert everything(log, FEEDBACK) == []
    assert place(log, "b").offset == offset_of_b
    assert log.end_offset(REQUESTS, partition_of_a) == end_of_a
    assert log.erase(["a"]) == 0


@removing
def test_erased_offsets_are_not_given_again(log: EventLog, reopen: OpenLog) -> None:
    log.append(records(["a", "a"]))
    log.erase(["a"])
    log.close()
    again = reopen()
    again.append(records(["a"]))
    assert place(again, "a").offset == 2


@removing
def test_erase_spares_what_came_after_a_time(log: EventLog) -> None:
    log.append(records(["a"]))
    first_us = place(log, "a").time_us
    while time.time_ns() // 1_000 <= first_us:
        pass
    log.append(records(["a"]))
    assert log.erase(["a"], before_us=first_us) == 1
    assert place(log, "a").time_us > first_us


@removing
def test_trim_forgets_what_is_below(log: EventLog) -> None:
    log.append(records(["same"] * 10))
    partition = everything(log)[0].partition
    assert log.trim(REQUESTS, partition, 7) == 7
    assert [record.offset for record in everything(log)] == [7, 8, 9]
    assert log.end_offset(REQUESTS, partition) == 10
    assert log.trim(REQUESTS, partition, 7) == 0


@removing
def test_fullness_is_a_share(log: EventLog) -> None:
    before = log.fullness()
    log.append([NewRecord(REQUESTS, "k", bytes(1 << 20)) for _ in range(4)])
    assert 0 <= before < log.fullness() <= 1


@keeping
def test_what_can_not_be_removed_is_said_and_stays(log: EventLog) -> None:
    log.append(records(["same"] * 3))
    with pytest.raises(Conflict, match="retention"):
        log.erase(["same"])
    assert log.trim(REQUESTS, everything(log)[0].partition, 2) == 0
    assert [record.payload for record in everything(log)] == [b"0", b"1", b"2"]
    assert log.fullness() == 0


def test_an_unknown_partition_is_refused_by_name(log: EventLog) -> None:
    with pytest.raises(InvalidInput, match=REQUESTS):
        log.read("nothing", 0, 0, 1)
    with pytest.raises(InvalidInput, match="99"):
        log.end_offset(REQUESTS, 99)


@shared
def test_what_others_write_is_read_as_it_came_and_keeps_nobody_from_its_neighbours(log: EventLog, kafka: Kafka) -> None:
    send_foreign(kafka, b"foreign", FEEDBACK, 0)
    send_foreign(kafka, b"foreign", USER_KEYS, 0)
    log.append([NewRecord(FEEDBACK, "d", b"neighbour")])  # in partition 0
    found = log.read(FEEDBACK, 0, 0, 100)
    assert [one.payload for one in found] == [b"foreign"] * len(FORMS) + [b"neighbour"]
    assert [one.key for one in found] == ["", "\ufffd\ufffd", "\0", "k", "k", "k", "k", "d"]
    marked = [[FOREIGN_NAME] if NO_TEXT in dict(headers) else [] for _, headers in FORMS]
    names = [sorted([*dict(form[1]), *mark]) for form, mark in zip(FORMS, marked, strict=True)]
    assert [sorted(one.headers) for one in found] == [*names, []]
    assert log.read(FEEDBACK, 0, len(FORMS), 100) == found[-1:]  # begun in the middle
