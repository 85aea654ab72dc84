"""Records in Kafka as only others write them: no key, bytes that are no text, headers of no value or name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from unittest import mock

from kafka import KafkaProducer
from kafka.record import MemoryRecordsBuilder

from thumbwheel.bus.port import FEEDBACK, USER_KEYS
from thumbwheel.bus.sealing import KEY_HEADER
from thumbwheel.config.settings import Kafka

_NULL = b"stands for no value"


class NoText(str):
    """A name of a header whose bytes are no UTF-8; it reads as they do with escapes."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the bytes, as kafka-python's producer asks for them."""
        return b"caf\xe9 \xff"


NO_TEXT = NoText(r"caf\xe9 \xff")
Form = tuple[bytes | None, Sequence[tuple[str, bytes | None]]]
FORMS: Sequence[Form] = (
    (None, ()),
    (b"\xff\xfe", ()),
    (b"\0", ()),
    (b"k", ((KEY_HEADER, None),)),
    (b"k", ((KEY_HEADER, b"\0\xff"),)),
    (b"k", ((KEY_HEADER, b"x" * 40_000),)),
    (b"k", ((NO_TEXT, b"v"), ("a", b"v"))),
)


def send_foreign(settings: Kafka, payload: bytes, topic: str = FEEDBACK, partition: int = 0) -> None:
    """Append a record of each form, past the log. Raises KafkaError where not all were acknowledged."""
    with closing(KafkaProducer(bootstrap_servers=settings.bootstrap_servers, max_block_ms=5_000)) as producer:
        name = settings.topic_prefix + topic
        forms = [one for one in FORMS if one[0] is not None or topic != USER_KEYS]  # the broker refuses it there
        with _nulls_written():
            sent = [producer.send(name, payload, key, _sendable(headers), partition) for key, headers in forms]
            for one in sent:
                one.get(timeout=10)


def _sendable(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    return [(name, _NULL if value is None else value) for name, value in headers]


@contextmanager
def _nulls_written() -> Iterator[None]:
    """Have kafka-python write headers of no value, which its producer does not take."""
    append = MemoryRecordsBuilder.append

    def with_nulls(
        builder: Any, timestamp: int, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Any:
        nulled = [(name, None if one is _NULL else one) for name, one in headers]
        return append(builder, timestamp, key, value, nulled)

    with mock.patch.object(MemoryRecordsBuilder, "append", with_nulls):
        yield
