"""The topic of users' keys, as it lies in the log."""

from __future__ import annotations

from thumbwheel.bus.port import USER_KEYS, EventLog, StoredRecord

_PAGE = 1_000


def oldest_key(log: EventLog) -> StoredRecord | None:
    """Return the oldest key in the log, wrapped; None where there is none. Raises Unavailable."""
    offset = 0
    while found := log.read(USER_KEYS, 0, offset, _PAGE):
        for one in found:
            if one.payload:  # else it says that a key was removed
                return one
        offset = found[-1].offset + 1
    return None
