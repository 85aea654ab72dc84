"""What was sent a moment ago is not appended again, and other content under its id is refused."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import NewRecord
from thumbwheel.errors import AlreadyExists, LogUnavailable
from thumbwheel.feedback.sent_once import SentOnce
from thumbwheel.records import Feedback, FeedbackKind, Retraction

VOTE = Feedback("f1", "r1", "ann", "", "desk", "v3", FeedbackKind.THUMB, 1_000, thumb_up=True)


class SlowLog:
    """A log whose appends end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[NewRecord] = []
        self.ends: list[asyncio.Future[None]] = []

    async def append(self, records: Sequence[NewRecord]) -> None:
        self.begun += records
        self.ends.append(asyncio.get_running_loop().create_future())
        await self.ends[-1]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_second_try_waits_for_the_first_to_be_durable() -> None:
    log = SlowLog()
    sent = SentOnce(log)
    tries = [asyncio.create_task(sent.append(replace(VOTE, time_us=time_us))) for time_us in (1_000, 2_000)]
    await settled()
    assert log.begun == [to_log(VOTE)]
    assert not any(one.done() for one in tries)
    log.ends[0].set_result(None)
    await asyncio.gather(*tries)
    await sent.append(VOTE)
    assert len(log.begun) == 1


@pytest.mark.parametrize(
    "other",
    [replace(VOTE, thumb_up=False), replace(VOTE, comment="no"), Retraction("f1", "r1", "ann", "", VOTE.kind, 1_000)],
)
async def test_other_content_under_the_id_is_refused_though_the_store_can_not_know_yet(
    other: Feedback | Retraction,
) -> None:
    log = SlowLog()
    sent = SentOnce(log)
    first = asyncio.create_task(sent.append(VOTE))
    await settled()
    with pytest.raises(AlreadyExists, match="feedback_id"):
        await sent.append(other)
    log.ends[0].set_result(None)
    await first


async def test_an_id_is_the_raters_own() -> None:
    log = SlowLog()
    sent = SentOnce(log)
    tries = [asyncio.create_task(sent.append(replace(VOTE, rater=rater))) for rater in ("ann", "bob")]
    await settled()
    assert len(log.begun) == 2
    for end in log.ends:
        end.set_result(None)
    await asyncio.gather(*tries)


async def test_what_failed_may_be_sent_again_with_any_content() -> None:
    log = SlowLog()
    sent = SentOnce(log)
    tries = [asyncio.create_task(sent.append(VOTE)) for _ in range(2)]
    await settled()
    log.ends[0].set_exception(LogUnavailable("full", 1.0))
    assert all(isinstance(end, LogUnavailable) for end in await asyncio.gather(*tries, return_exceptions=True))
    again = asyncio.create_task(sent.append(replace(VOTE, thumb_up=False)))
    await settled()
    log.ends[1].set_result(None)
    await again


async def test_a_caller_who_goes_away_does_not_take_the_append_with_it() -> None:
    log = SlowLog()
    sent = SentOnce(log)
    gone = asyncio.create_task(sent.append(VOTE))
    await settled()
    gone.cancel()
    await settled()
    again = asyncio.create_task(sent.append(VOTE))
    await settled()
    assert gone.cancelled() and not again.done()
    log.ends[0].set_result(None)
    await again
    assert len(log.begun) == 1


async def test_memory_is_bounded() -> None:
    log = SlowLog()
    sent = SentOnce(log, max_ids=2)
    tries = [asyncio.create_task(sent.append(replace(VOTE, feedback_id=name))) for name in "abcd"]
    await settled()
    assert len(sent) == 2
    for end in log.ends:
        end.set_result(None)
    await asyncio.gather(*tries)


async def test_of_what_is_written_no_task_is_kept() -> None:
    """Sixteen thousand of them, each with its context, are tens of megabytes."""
    log = SlowLog()
    sent = SentOnce(log)
    under_way = asyncio.create_task(sent.append(VOTE))
    await settled()
    [appending] = [weakref.ref(one) for one in asyncio.all_tasks() if "SlowLog" in repr(one.get_coro())]
    log.ends[0].set_result(None)
    await under_way
    await settled()
    gc.collect()
    assert len(sent) == 1
    assert appending() is None
