"""The topic of users' keys, as it lies in the log."""

from __future__ import annotations

from collections.abc import Sequence

from thumbwheel.bus.port import USER_KEYS, EventLog, StoredRecord
from thumbwheel.bus.sealing import is_key_id

_PAGE = 1_000


def of_keys(found: Sequence[StoredRecord]) -> list[StoredRecord]:
    """Return those that are about a key; what else lies in the topic is nobody's."""
    return [one for one in found if is_key_id(one.key)]


def oldest_key(log: EventLog) -> StoredRecord | None:
    """Return the oldest key in the log, wrapped; None where there is none. Raises Unavailable."""
    offset = 0
    while found := log.read(USER_KEYS, 0, offset, _PAGE):
        for one in of_keys(found):
            if one.payload:  # else it says that a key was removed
                return one
        offset = found[-1].offset + 1
    return None
