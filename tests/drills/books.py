"""The store's books, held against a ledger: all that was acknowledged is there once, and nothing that no one sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from balance_sheet import Sheet
from sqlalchemy import Row, Select, Table, func, select
from voting import Ledger

from thumbwheel.database.engine import connect
from thumbwheel.database.schema import current_votes, dead_letters, feedback_events, orphans, responses
from thumbwheel.database.transactions import reading
from thumbwheel.events.convert import decode
from thumbwheel.records import ClassifyAnswer, Feedback, LoggedResponse


def balance(sheet: Sheet, url: str, ledger: Ledger, poison: int = 0, changed: int = 0, orphaned: int = 0) -> Sheet:
    """Add the lines that every drill has to hold.

    `poison` is how many undecodable records were sent, `changed` how many votes took the place of one before,
    `orphaned` how many wait for an answer that was lost.
    """
    votes = Counter(vote.comment for vote in _events(url) if isinstance(vote, Feedback))
    answers = dict(_answers(url))
    sheet.expect("votes acknowledged, that are stored", len(ledger.votes), len(ledger.votes & votes.keys()))
    sheet.expect("votes stored more than once", 0, sum(count - 1 for count in votes.values()))
    sheet.expect("votes stored that no one sent", 0, len(votes.keys() - ledger.sent))
    sheet.expect("answers logged, that are stored", len(ledger.answers), len(ledger.answers & answers.keys()))
    sheet.expect("answers stored to what no one asked", 0, len(set(answers.values()) - ledger.asked))
    sheet.expect("votes that count", votes.total() - changed, _count(url, current_votes))
    sheet.expect("dead letters", poison, _count(url, dead_letters))
    sheet.expect("votes that still wait for their answer", orphaned, _count(url, orphans))
    sheet.facts["calls refused"] = ledger.refusals
    sheet.facts["votes stored though their call failed"] = f"{len(votes.keys() - ledger.votes):,}"
    return sheet


def counting(url: str) -> set[str]:
    """The ids of the votes that count."""
    return {row.feedback_id for row in _rows(url, select(current_votes.c.feedback_id))}


def orphaned(url: str) -> set[str]:
    """The comments of the votes that wait for their answer."""
    waiting = (decode(row.payload) for row in _rows(url, select(orphans.c.payload)))
    return {vote.comment for vote in waiting if isinstance(vote, Feedback)}


def waiting_in_error(url: str) -> int:
    """How many votes wait for an answer that is there."""
    there = select(orphans.c.feedback_id).join(responses, orphans.c.response_id == responses.c.response_id)
    return len(list(_rows(url, there)))


def earliest_us(url: str) -> int:
    """The earliest time of an answer, microseconds since the epoch."""
    [row] = _rows(url, select(func.min(responses.c.time_us)))
    return int(row[0])


def _events(url: str) -> Iterator[object]:
    for row in _rows(url, select(feedback_events.c.payload)):
        yield decode(row.payload)


def _answers(url: str) -> Iterator[tuple[str, str]]:
    """Each answer's id and what was asked."""
    for row in _rows(url, select(responses.c.payload)):
        record = decode(row.payload)
        assert isinstance(record, LoggedResponse)
        assert isinstance(record.answer, ClassifyAnswer)
        yield record.response_id, record.answer.text


def _count(url: str, table: Table) -> int:
    [row] = _rows(url, select(func.count()).select_from(table))
    return int(row[0])


def _rows(url: str, query: Select[Any]) -> Iterator[Row[Any]]:
    engine = connect(url)
    try:
        with reading(engine) as connection:
            yield from connection.execution_options(yield_per=1_000).execute(query)
    finally:
        engine.dispose()
