"""What an embedded log still has of the past, although the store had it long ago."""

from __future__ import annotations

from thumbwheel.bus.port import EventLog
from thumbwheel.bus.source import Source, places
from thumbwheel.store.port import FeedbackStore


def trim_past(source: Source, store: FeedbackStore, before_us: int) -> int:
    """Forget records that were appended before a time, as far as the store has read them; return how many.

    Raises Unavailable.
    """
    trimmed = 0
    for topic, partition in places(source.log):
        read = store.offset(source.consumer, topic, partition)
        first = _first_since(source.log, (topic, partition), before_us, read)
        trimmed += source.log.trim(topic, partition, first)
    return trimmed


def _first_since(log: EventLog, place: tuple[str, int], since_us: int, end: int) -> int:
    """Return the offset, `end` at most, of the first record of a time or later: by bisection, as times only grow."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        found = log.read(*place, middle, 1)
        if found and found[0].offset < high and found[0].time_us < since_us:
            low = found[0].offset + 1
        else:
            high = middle
    return low
