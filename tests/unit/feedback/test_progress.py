"""Waiting for ingest where the log can not be asked."""

from __future__ import annotations

from typing import cast

import pytest

from thumbwheel.bus.port import FEEDBACK, EventLog
from thumbwheel.bus.source import Source
from thumbwheel.errors import LogUnavailable
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.store.port import FeedbackStore


class Away:
    """A log that nobody reaches."""

    def partitions(self, topic: str) -> object:
        raise LogUnavailable("Kafka is unavailable at kafka-1.internal:9092: it hangs", 7.0)


async def test_whoever_waits_is_told_that_the_log_is_away_and_not_where_it_is() -> None:
    progress = IngestProgress(cast(FeedbackStore, None), Source(cast(EventLog, Away())))
    with pytest.raises(LogUnavailable, match="^the log is away, so that it can not be known") as refused:
        await progress.caught_up([FEEDBACK])
    assert refused.value.retry_after_s == 7.0
    assert "internal" in str(refused.value.__cause__)
