"""Dead letters, from the store's table into a topic, so that others can be told of them.

The table has them first, written with the offset that passed them; the publisher reads on in it from the number it has
kept in the store. It publishes before it keeps the number: after a crash some are published twice, none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from thumbwheel.bus.port import DEAD_LETTERS, EventLog, NewRecord
from thumbwheel.errors import Fenced, InvalidInput
from thumbwheel.records import DeadLetter
from thumbwheel.store.port import Batch, FeedbackStore

_BATCH = 100


class DeadLetterPublisher:
    """Publishes to a topic of `log` what is new among the dead letters of `store`. For one thread."""

    def __init__(self, store: FeedbackStore, log: EventLog, consumer: str) -> None:
        """Keep the number to go on from under the name `consumer`."""
        self._store = store
        self._log = log
        self._consumer = f"{consumer} dead letters"

    def publish(self) -> int:
        """Publish a batch; return how many there were. Raises Unavailable: call again."""
        first = self._store.offset(self._consumer, DEAD_LETTERS, 0)
        letters = self._store.dead_letters_from(first, _BATCH)
        if not letters:
            return 0
        self._append(letters)
        try:
            self._store.apply(Batch(self._consumer, DEAD_LETTERS, 0, first, letters[-1].number + 1))
        except Fenced:
            return 0  # another process publishes, too: these are there twice
        return len(letters)

    def _append(self, letters: Sequence[DeadLetter]) -> None:
        try:
            self._log.append([_record(letter) for letter in letters])
        except InvalidInput:
            # With its headers a record may be larger than it was: then its bytes are in the table only.
            for letter in letters:
                self._append_one(letter)

    def _append_one(self, letter: DeadLetter) -> None:
        try:
            self._log.append([_record(letter)])
        except InvalidInput:
            left_out = {"payload-left-out-bytes": str(len(letter.payload)).encode()}
            record = _record(letter)
            self._log.append([NewRecord(record.topic, record.key, b"", {**record.headers, **left_out})])


def _record(letter: DeadLetter) -> NewRecord:
    headers = {
        "number": str(letter.number),
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "reason": letter.reason,
        "time-us": str(letter.time_us),
    }
    key = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return NewRecord(DEAD_LETTERS, key, letter.payload, {name: value.encode() for name, value in headers.items()})
