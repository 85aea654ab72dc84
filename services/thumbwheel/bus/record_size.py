"""How large a record may be: what one log takes, the outbox before it must not promise to more."""

from __future__ import annotations

from thumbwheel.bus.port import NewRecord
from thumbwheel.errors import InvalidInput

_OVERHEAD_BYTES = 128  # of a record, beside key, payload and headers; at most


def demand_size(record: NewRecord, max_bytes: int) -> None:
    """Raise InvalidInput for a record of more than `max_bytes`, counted as Kafka counts it."""
    size = _size(record)
    if size > max_bytes:
        raise InvalidInput("payload", f"{size} bytes are more than kafka.max_record_bytes, {max_bytes}")


def _size(record: NewRecord) -> int:
    headers = sum(len(name.encode()) + len(value) + 10 for name, value in record.headers.items())
    return len(record.key.encode()) + len(record.payload) + headers + _OVERHEAD_BYTES
