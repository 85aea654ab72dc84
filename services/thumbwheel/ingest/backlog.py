"""What was acknowledged and is not in the store yet. Safe from any thread and any process."""

from __future__ import annotations

from thumbwheel.bus.source import Source, places
from thumbwheel.store.port import FeedbackStore


def backlog(source: Source, store: FeedbackStore) -> int:
    """Return how many acknowledged records are not in the store: in this machine's outbox, and in the log.

    Raises Unavailable.
    """
    # The outbox first: what is shipped meanwhile is counted twice, not left out.
    return source.unshipped() + unread(source, store)


def unread(source: Source, store: FeedbackStore) -> int:
    """Return how many records of the log are not in the store. Raises Unavailable."""
    total = 0
    for topic, partition in places(source.log):
        offset = store.offset(source.consumer, topic, partition, source.log.identity(topic))
        end = source.log.end_offset(topic, partition)
        total += end - offset if offset <= end else end
    return total
