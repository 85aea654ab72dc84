"""The steps of ingest: read, decode, apply. Pure but for the log and the store they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from thumbwheel.bus.codec import outline_from_log
from thumbwheel.bus.port import StoredRecord
from thumbwheel.errors import PoisonRecord
from thumbwheel.events.outline import AnswerOutline
from thumbwheel.records import DeadLetter
from thumbwheel.store.port import Arrival, Batch


@dataclass(slots=True)
class Decoded:
    """What a run of log records holds: each is in exactly one of the lists."""

    answers: list[AnswerOutline] = field(default_factory=list)
    feedback: list[Arrival] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


def decode(records: Sequence[StoredRecord]) -> Decoded:
    """Decode records of the log, as far as the store has to. Poison becomes a dead letter, its neighbours don't."""
    decoded = Decoded()
    for stored in records:
        try:
            event = outline_from_log(stored)
        except PoisonRecord as error:
            decoded.dead_letters.append(_dead(stored, str(error)))
            continue
        if isinstance(event, AnswerOutline):
            decoded.answers.append(event)
        else:
            decoded.feedback.append(Arrival(event, stored.topic, stored.partition, stored.offset))
    return decoded


def batch_of(consumer: str, expected_offset: int, records: Sequence[StoredRecord], log_id: str = "") -> Batch:
    """Return the transaction that writes `records`, of one partition, and moves the offset behind them."""
    decoded = decode(records)
    return Batch(
        consumer=consumer,
        topic=records[0].topic,
        partition=records[0].partition,
        expected_offset=expected_offset,
        next_offset=records[-1].offset + 1,
        answers=decoded.answers,
        feedback=decoded.feedback,
        dead_letters=decoded.dead_letters,
        log_id=log_id,
    )


def _dead(stored: StoredRecord, reason: str) -> DeadLetter:
    return DeadLetter(stored.topic, stored.partition, stored.offset, reason, stored.payload, stored.time_us)
