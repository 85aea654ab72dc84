"""The topic of users' keys, as it lies in the log."""

from __future__ import annotations

from collections.abc import Sequence

from thumbwheel.bus.port import USER_KEYS, EventLog, NewRecord, StoredRecord
from thumbwheel.bus.sealing import UserKey, is_key_id

_PAGE = 1_000
_UNTIL_HEADER = "thumbwheel-key-until-us"
_PAST_HEADER = "thumbwheel-key-past"


def made(key: UserKey, wrapped: bytes) -> NewRecord:
    """Return the record of a new key, which says until when events are sealed under it."""
    return NewRecord(USER_KEYS, key.key_id, wrapped, {_UNTIL_HEADER: str(key.until_us).encode()})


def erased(key_id: str) -> NewRecord:
    """Return the record that removes a key because its user is erased."""
    return NewRecord(USER_KEYS, key_id, b"")


def past(key_id: str) -> NewRecord:
    """Return the record that removes a key because the log has nothing under it any more."""
    return NewRecord(USER_KEYS, key_id, b"", {_PAST_HEADER: b"1"})


def is_past(record: StoredRecord) -> bool:
    """Whether a record removes its key for want of anything under it: no word of its user's erasure."""
    return not record.payload and _PAST_HEADER in record.headers


def until_us(record: StoredRecord) -> int | None:
    """Return until when events are sealed under a key; None for one of an earlier release, which did not say."""
    said = record.headers.get(_UNTIL_HEADER, b"")
    return int(said) if said.isdigit() else None


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
