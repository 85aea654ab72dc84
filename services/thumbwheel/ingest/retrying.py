"""A dead letter's way back: into the log once more, as it was, if it can be read by now."""

from __future__ import annotations

from thumbwheel.bus.codec import SCHEMA_HEADER, from_log, to_log
from thumbwheel.bus.port import EventLog, NewRecord, StoredRecord
from thumbwheel.errors import Conflict, PoisonRecord
from thumbwheel.events.convert import decode
from thumbwheel.records import DeadLetter

_SCHEMA_UNKNOWN = f"{SCHEMA_HEADER}: "


def record_again(letter: DeadLetter, log: EventLog) -> NewRecord:
    """Return the record to append: the one that `log` still has, else one made of the letter's bytes.

    Raises:
        Conflict: this release can not read it either.
        Unavailable: the log is away.
    """
    try:
        stored = _in_log(letter, log)
        if stored is not None:
            from_log(stored)
            return NewRecord(stored.topic, stored.key, stored.payload, stored.headers)
        if letter.reason.startswith(_SCHEMA_UNKNOWN):
            # Its headers said which schema it is of, and only the log had them.
            raise PoisonRecord("payload", "the log has it no more, and its bytes alone don't tell their schema")
        return to_log(decode(letter.payload))
    except PoisonRecord as error:
        raise Conflict(f"dead letter {letter.number}: it still can not be used: {error}") from error


def _in_log(letter: DeadLetter, log: EventLog) -> StoredRecord | None:
    if letter.offset < 0 or letter.partition not in log.partitions(letter.topic):
        return None
    found = log.read(letter.topic, letter.partition, letter.offset, 1)
    here = found and found[0].offset == letter.offset and found[0].payload == letter.payload
    return found[0] if here else None
