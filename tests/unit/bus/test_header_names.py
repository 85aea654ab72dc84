"""Batches as Kafka keeps them, taken apart: a header whose name is no text takes nothing from its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from foreign_records import NO_TEXT
from kafka import TopicPartition
from kafka.record import MemoryRecords, MemoryRecordsBuilder

from thumbwheel.bus.header_names import take_any_header_name
from thumbwheel.bus.port import FOREIGN_NAME

_SIZE = 1 << 16


def batch(first: int, *headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Records of these headers, one each; keys and values are their offsets."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=_SIZE)
    for offset, named in enumerate(headers, first):
        builder.append(1_000 + offset, b"k%d" % offset, b"v%d" % offset, list(named))
    builder.close()
    whole = bytearray(builder.buffer())
    whole[:8] = first.to_bytes(8, "big")  # the broker writes it
    return bytes(whole)


def taken(fetched: bytes, offset: int) -> list[Any]:
    """What a consumer makes of a fetched piece, read from `offset` on."""
    fetcher = SimpleNamespace()
    take_any_header_name(cast(Any, SimpleNamespace(_fetcher=fetcher)))
    pieces = fetcher.PartitionRecords(offset, TopicPartition("t", 0), MemoryRecords(fetched))
    return cast(list[Any], pieces.take())


def test_a_name_that_is_no_text_is_escaped_and_marked_and_the_rest_is_as_ever() -> None:
    good, bad = [("name", b"1")], [("a", b"2"), (NO_TEXT, b"3"), (NO_TEXT, b"4")]
    found = taken(batch(0, good, bad, good, bad) + batch(4, good), 0)
    assert [(one.offset, one.key, one.value) for one in found] == [(n, b"k%d" % n, b"v%d" % n) for n in range(5)]
    named = ["a", r"caf\xe9 \xff", r"caf\xe9 \xff", FOREIGN_NAME]
    assert [[name for name, _ in one.headers] for one in found] == [["name"], named, ["name"], named, ["name"]]
    assert [value for _, value in found[1].headers] == [b"2", b"3", b"4", b""]
    assert [one.timestamp for one in found] == [1_000, 1_001, 1_002, 1_003, 1_004]


def test_reading_goes_on_behind_it() -> None:
    bad = [(NO_TEXT, b"v")]
    fetched = batch(0, bad, [("name", b"1")], bad)
    assert [one.offset for one in taken(fetched, 1)] == [1, 2]
    assert [one.offset for one in taken(fetched, 2)] == [2]


def test_a_name_that_looks_like_an_escape_is_no_foreign_one() -> None:
    (found,) = taken(batch(0, [(r"caf\xe9", b"v")]), 0)
    assert found.headers == [(r"caf\xe9", b"v")]
