"""Whether somebody's list of votes can be complete."""

from __future__ import annotations

from thumbwheel.bus.port import TOPICS
from thumbwheel.bus.source import Source
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.progress import IngestProgress, Others
from thumbwheel.store.port import FeedbackStore

_PATIENCE_S = 0.5  # how long the list waits for the last of them


async def is_settled(store: FeedbackStore, source: Source, others: Others | None = None) -> bool:
    """Whether the store has every vote acknowledged before; also false where that can't be known.

    Without an outbox in `source`, or `others`, those of other processes are not looked into: what waits there is not in
    the log yet.
    """
    try:
        await IngestProgress(store, source, _PATIENCE_S, others).caught_up(TOPICS)
    except Unavailable:
        return False
    return True
