"""A vote on an answer that another process gave is acknowledged once that one's outbox has shipped the answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Sequence

import pytest
from answered import answer_and_vote

from thumbwheel.bus.answers_elsewhere import AnswersElsewhere
from thumbwheel.bus.codec import answers_of, to_log
from thumbwheel.bus.port import NewRecord
from thumbwheel.errors import LogUnavailable, Unavailable
from thumbwheel.records import Feedback, FeedbackKind, Retraction

FOR_EVER_S = 60.0


def vote_on(answer: str, *ranked: str) -> NewRecord:
    kind = FeedbackKind.RANKING if ranked else FeedbackKind.THUMB
    thumb = None if ranked else True
    return to_log(Feedback(f"f-{answer}", answer, "me", "", "p", "v1", kind, 1, thumb_up=thumb, ranking=ranked))


class Votes:
    """Where votes go; `full` refuses them."""

    def __init__(self, full: bool = False) -> None:
        self.taken: list[str] = []
        self.full = full

    async def append(self, records: Sequence[NewRecord]) -> None:
        if self.full:
            raise LogUnavailable("full", 2.0)
        self.taken += [record.key for record in records]


class Others:
    """Outboxes of others with these answers in them."""

    def __init__(self, *answers: str) -> None:
        self.answers = set(answers)
        self.looks: list[set[str]] = []
        self.looked = threading.Event()

    def held(self, answers: Collection[str]) -> Collection[str]:
        self.looks.append(set(answers))
        self.looked.set()
        return self.answers & set(answers)


async def looked(others: Others) -> None:
    assert await asyncio.to_thread(others.looked.wait, FOR_EVER_S)


async def test_it_waits_for_its_own_answer_and_for_no_other() -> None:
    votes, others = Votes(), Others("a")
    appender = AnswersElsewhere(votes, others.held, FOR_EVER_S)
    waiting = asyncio.create_task(appender.append([vote_on("a")]))
    await looked(others)
    async with asyncio.timeout(FOR_EVER_S):
        await appender.append([vote_on("b")])
        assert votes.taken == ["a", "b"] and not waiting.done()
        others.answers.remove("a")
        await waiting


async def test_a_ranking_waits_for_every_candidate() -> None:
    others = Others("last")
    appender = AnswersElsewhere(Votes(), others.held, FOR_EVER_S)
    waiting = asyncio.create_task(appender.append([vote_on("first", "first", "last")]))
    await looked(others)
    assert others.looks[0] == {"first", "last"} and not waiting.done()
    others.answers.clear()
    async with asyncio.timeout(FOR_EVER_S):
        await waiting


async def test_patience_ends_with_a_hint() -> None:
    appender = AnswersElsewhere(Votes(), Others("a").held, 0.0)
    with pytest.raises(LogUnavailable, match="still on its way to Kafka from the process that gave it") as refused:
        await appender.append([vote_on("a")])
    assert refused.value.retry_after_s == 1.0


async def test_who_has_gone_is_waited_for_no_longer() -> None:
    others = Others("a")
    appender = AnswersElsewhere(Votes(), others.held, FOR_EVER_S)
    gone = asyncio.create_task(appender.append([vote_on("a")]))
    await looked(others)
    gone.cancel()
    await asyncio.wait([gone])
    while len(asyncio.all_tasks()) > 1:  # the one that looks ends, the answer held as ever
        await asyncio.sleep(0.01)
    async with asyncio.timeout(FOR_EVER_S):
        await appender.append([vote_on("b")])


async def test_what_can_not_be_looked_into_is_a_refusal_and_what_was_not_taken_is_not_looked_for() -> None:
    def away(answers: Collection[str]) -> Collection[str]:
        raise Unavailable("locked", 3.0)

    with pytest.raises(LogUnavailable, match="locked") as refused:
        await AnswersElsewhere(Votes(), away, FOR_EVER_S).append([vote_on("a")])
    assert refused.value.retry_after_s == 3.0
    others = Others()
    with pytest.raises(LogUnavailable, match="full"):
        await AnswersElsewhere(Votes(full=True), others.held, FOR_EVER_S).append([vote_on("a")])
    assert others.looks == []


async def test_a_defect_reaches_who_waits() -> None:
    def broken(answers: Collection[str]) -> Collection[str]:
        raise ZeroDivisionError

    async with asyncio.timeout(FOR_EVER_S):
        with pytest.raises(ZeroDivisionError):
            await AnswersElsewhere(Votes(), broken, FOR_EVER_S).append([vote_on("a")])


def test_the_answers_of_a_vote_are_read_from_it() -> None:
    assert list(answers_of(vote_on("a"))) == ["a"]
    assert list(answers_of(vote_on("a", "c", "a", "b"))) == ["c", "a", "b"]
    retraction = Retraction("f", "a", "me", "", FeedbackKind.THUMB, 1)
    assert list(answers_of(to_log(retraction))) == ["a"]
    answer, vote = (to_log(record) for record in answer_and_vote(7))
    assert list(answers_of(vote)) == [answer.key]
