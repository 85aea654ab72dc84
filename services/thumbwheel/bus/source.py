"""What ingest reads: a log, the name its offsets are kept under, and the outbox before it, if there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from thumbwheel.bus.port import TOPICS, EventLog

CONSUMER = "ingest"
"""The consumer of the embedded log. Another log needs another: its offsets count something else."""

Place = tuple[str, int]


class Sealed(Protocol):
    """A log that forgets by user, because it cannot remove single records."""

    def shred(self, user_hash: str) -> int:
        """Forget a user; return of how many keys. Raises Unavailable."""

    def drop_past_keys(self) -> int:
        """Remove keys of which the log has nothing left; return how many. Raises Unavailable."""

    def removed_users(self) -> set[str]:
        """Return who was forgotten since the table of keys was last brought up to date. Raises Unavailable."""

    def sync(self) -> set[str]:
        """Bring the table of keys up to date; return who was forgotten since. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Source:
    """A log as ingest reads it. With an `outbox`, what was acknowledged may still be on its way into `log`.

    A `log` that cannot remove records is `sealed`, too.
    """

    log: EventLog
    consumer: str = CONSUMER
    outbox: EventLog | None = None
    sealed: Sealed | None = None

    def erase_user(self, user_hash: str, response_ids: Sequence[str]) -> None:
        """Remove for good what log and outbox have of a user, which lies under these ids of answers.

        Raises:
            Unavailable: not all copies are gone; to be called again.
            Conflict: the log can neither remove records nor forget a user.
        """
        for local in (self.outbox, None if self.sealed else self.log):
            if local is not None:
                local.erase(response_ids)
        if self.sealed is not None:
            self.sealed.shred(user_hash)

    def unshipped(self) -> int:
        """Return how many acknowledged records are not in `log` yet. Raises Unavailable."""
        if self.outbox is None:
            return 0
        return sum(waiting(self.outbox, topic).records for topic in TOPICS)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an outbox holds of a topic. `oldest_us` is when its oldest record came, None where there is none."""

    records: int
    oldest_us: int | None


def waiting(outbox: EventLog, topic: str) -> Waiting:
    """Return what an outbox still holds of a topic. Safe from any thread. Raises Unavailable."""
    count, oldest_us = 0, None
    for partition in outbox.partitions(topic):
        for first in outbox.read(topic, partition, 0, 1):
            count += outbox.end_offset(topic, partition) - first.offset
            oldest_us = first.time_us if oldest_us is None else min(oldest_us, first.time_us)
    return Waiting(count, oldest_us)


def places(log: EventLog, topics: Sequence[str] = TOPICS) -> Iterator[Place]:
    """Yield every partition of `topics`. Raises Unavailable."""
    return ((topic, partition) for topic in topics for partition in log.partitions(topic))


def ends(log: EventLog, topics: Sequence[str]) -> Mapping[Place, int]:
    """Return the present end of every partition of `topics`. Raises Unavailable."""
    return {place: log.end_offset(*place) for place in places(log, topics)}


def shipped(outbox: EventLog, ends: Mapping[Place, int]) -> bool:
    """Whether nothing below `ends` is left in an outbox: records leave it in order, once the log behind it has them.

    Raises Unavailable.
    """
    oldest = ((outbox.read(*place, 0, 1), end) for place, end in ends.items())
    return all(not first or first[0].offset >= end for first, end in oldest)
