"""Records of Kafka whose headers have names that are not UTF-8, as only others write them.

kafka-python 3.0.12 decodes names while it takes a batch apart, and raises at the first that does not decode: the fetch
ends there, at every further try too, and with it the partition. Kafka itself takes such a record. Here it comes as
any other, with its names written out by escapes, and with `FOREIGN_NAME`, by which it is told to be poison.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecordBatch

from thumbwheel.bus.port import FOREIGN_NAME


def take_any_header_name(consumer: KafkaConsumer) -> None:
    """Have this consumer hand out records with header names that are not UTF-8, each marked by `FOREIGN_NAME`."""
    # The narrowest place there is: what takes a fetched batch apart is looked up at the fetcher, one for each consumer.
    consumer._fetcher.PartitionRecords = _PartitionRecords


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """A fetched piece of a partition, taken apart batch by batch."""

    def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Any:
        return super()._unpack_records(tp, _Batches(records), *deserializers)


class _Batches:
    """Batches in the order in which they were fetched."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        """Return the next batch; None after the last."""
        batch = self._records.next_batch()
        if type(batch) is DefaultRecordBatch:  # older formats have no headers
            batch.__class__ = _Batch
        return batch


class _Batch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch that is read leniently, which is slower, from the first record on that takes it."""

    __slots__ = ()  # so that a batch may become one

    def _read_msg(self, *arguments: Any) -> Any:
        try:
            record = super()._read_msg(*arguments)
        except UnicodeDecodeError:
            # `_pos` is still where the record begins. The types of the base, and its slots, are not known.
            self._buffer = _Lenient(self._buffer)  # type: ignore[misc, has-type]
            record = super()._read_msg(*arguments)
        if isinstance(self._buffer, _Lenient) and any(isinstance(name, _Escaped) for name, _ in record.headers):
            record.headers.append((FOREIGN_NAME, b""))
        return record


class _Lenient(bytearray):
    """Bytes whose pieces decode in any case."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Piece(found) if isinstance(at, slice) else found


class _Piece(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the text; where it is none, what stands for it."""
        try:
            return super().decode(encoding, errors)
        except UnicodeDecodeError:
            return _Escaped(super().decode(encoding, "backslashreplace"))


class _Escaped(str):
    """A name that was no UTF-8."""

    __slots__ = ()
