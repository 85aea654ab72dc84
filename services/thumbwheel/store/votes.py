"""Votes: the append-only events, and the current vote of each (response, rater, kind).

The current vote is the last event by (time, feedback id); if that is a retraction, there is none. The order of
arrival does not matter. A ranking's vote belongs to the answer named in its `response_id`: of the candidates the one
of smallest id, so that ranking them anew replaces the ranking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, case, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from thumbwheel.database.lists import among
from thumbwheel.database.rows import insert_rows
from thumbwheel.database.schema import counters
from thumbwheel.database.schema import current_votes as current
from thumbwheel.database.schema import feedback_events as events
from thumbwheel.events.outline import FeedbackOutline
from thumbwheel.records import Feedback, FeedbackKind, RatedResponse, VoteCounts
from thumbwheel.store import responses
from thumbwheel.store.arrivals import FeedbackRecord, decoded

_PAGE = 200  # answers read at once by `rated`
_SEQUENCE = "feedback"
_Key = tuple[str, str, str]


# --- writing ------------------------------------------------------------------------------------------------


class _Current(NamedTuple):
    """A row of the table of current votes."""

    response_id: str
    rater: str
    kind: str
    seq: int
    policy: str
    version: str
    time_us: int
    feedback_id: str
    retracted: bool
    thumb_up: bool | None
    rating: int | None


def add(connection: Connection, accepted: Sequence[tuple[FeedbackOutline, tuple[str, str]]]) -> None:
    """Append feedback on known answers, given with their (policy, version), and bring the current votes up to date."""
    if not accepted:
        return
    appended = []
    latest: dict[_Key, _Current] = {}
    for sequence, (event, (policy, version)) in enumerate(accepted, _reserve(connection, len(accepted))):
        rater, feedback_id, response_id, kind, _, _, time_us, retracted, up, rating, payload = event
        appended.append((response_id, sequence, rater, feedback_id, policy, payload))
        stated = policy, version, time_us, feedback_id, retracted, up, rating
        row = _Current(response_id, rater, kind, sequence, *stated)
        earlier = latest.setdefault((response_id, rater, kind), row)
        if earlier is not row and _rank(earlier) < _rank(row):
            latest[response_id, rater, kind] = row
    insert_rows(connection, events, appended)
    _merge(connection, latest)


def _reserve(connection: Connection, count: int) -> int:
    """Return the first of `count` new sequence numbers. The counter's row lock keeps other writers behind."""
    connection.execute(update(counters).where(counters.c.name == _SEQUENCE).values(value=counters.c.value + count))
    return watermark(connection) - count + 1


def _merge(connection: Connection, latest: dict[_Key, _Current]) -> None:
    columns = current.c.response_id, current.c.rater, current.c.kind, current.c.time_us, current.c.feedback_id
    query = select(*columns).where(among(connection, current.c.response_id, {key[0] for key in latest}))
    stored = {(row[0], row[1], row[2]): (row[3], row[4]) for row in connection.execute(query)}
    insert_rows(connection, current, [row for key, row in latest.items() if key not in stored])
    newer = [row._asdict() for key, row in latest.items() if key in stored and stored[key] < _rank(row)]
    if newer:
        which = [current.c[name] == bindparam(f"old_{name}") for name in _KEY_COLUMNS]
        renamed = [{**row, **{f"old_{name}": row[name] for name in _KEY_COLUMNS}} for row in newer]
        connection.execute(update(current).where(*which), renamed)


_KEY_COLUMNS = ("response_id", "rater", "kind")


def _rank(row: _Current) -> tuple[int, str]:
    return row.time_us, row.feedback_id


# --- reading ------------------------------------------------------------------------------------------------

_LAST_EVENT = and_(current.c.response_id == events.c.response_id, current.c.seq == events.c.seq)


def watermark(connection: Connection) -> int:
    """Return the sequence of the latest feedback; 0 when there never was any."""
    return connection.scalar(select(counters.c.value).where(counters.c.name == _SEQUENCE)) or 0


def current_vote(connection: Connection, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
    """Return a rater's current vote of a kind on an answer, or None."""
    query = (
        select(events.c.seq, events.c.payload)
        .join(current, _LAST_EVENT)
        .where(current.c.response_id == response_id, current.c.rater == rater, current.c.kind == kind.value)
        .where(current.c.retracted.is_(False))
    )
    row = connection.execute(query).first()
    return _vote(row) if row else None


def has_voted(connection: Connection, response_id: str, rater: str, kind: FeedbackKind) -> bool:
    """Whether a rater ever gave a vote of a kind on an answer: the row of one taken back stays."""
    mine = and_(current.c.response_id == response_id, current.c.rater == rater, current.c.kind == kind.value)
    return connection.scalar(select(current.c.seq).where(mine)) is not None


def votes_of(connection: Connection, rater: str, limit: int) -> list[RatedResponse]:
    """Return the answers a rater has current votes on with these votes, newest vote first."""
    mine = and_(current.c.rater == rater, current.c.retracted.is_(False))
    newest = func.max(current.c.time_us)
    page = (
        select(current.c.response_id)
        .where(mine)
        .group_by(current.c.response_id)
        .order_by(newest.desc(), current.c.response_id.desc())
        .limit(limit)
    )
    ids = list(connection.scalars(page))
    query = (
        select(events.c.seq, events.c.payload, events.c.response_id)
        .join(current, _LAST_EVENT)
        .where(mine, among(connection, current.c.response_id, ids))
        .order_by(current.c.kind)
    )
    votes: dict[str, list[Feedback]] = {}
    for row in connection.execute(query) if ids else ():
        votes.setdefault(row.response_id, []).append(_vote(row))
    answers = responses.get(connection, ids)
    return [RatedResponse(answers[response_id], tuple(votes[response_id])) for response_id in ids]


def new_votes(connection: Connection, policy: str, since: int) -> dict[FeedbackKind, int]:
    """Count current votes of a policy whose sequence is above `since`, by kind."""
    new = current.c.policy == policy, current.c.seq > since, current.c.retracted.is_(False)
    query = select(current.c.kind, func.count()).where(*new).group_by(current.c.kind)
    return {FeedbackKind(kind): count for kind, count in connection.execute(query)}


def counts(connection: Connection, policy: str) -> dict[str, VoteCounts]:
    """Return live feedback by version of a policy."""
    query = (
        select(
            current.c.version,
            _total(current.c.kind == "thumb", current.c.thumb_up.is_(True)),
            _total(current.c.kind == "thumb", current.c.thumb_up.is_(False)),
            _total(current.c.kind == "rating"),
            func.avg(case((current.c.kind == "rating", current.c.rating))),
            _total(current.c.kind == "ranking"),
            _total(current.c.kind == "edit"),
        )
        .where(current.c.policy == policy, current.c.retracted.is_(False))
        .group_by(current.c.version)
    )
    votes = {row[0]: row for row in connection.execute(query)}
    answers = responses.count_by_version(connection, policy)
    result = {}
    for version in sorted(answers.keys() | votes.keys()):
        _, up, down, ratings, mean, rankings, edits = votes.get(version, (version, 0, 0, 0, None, 0, 0))
        result[version] = VoteCounts(answers.get(version, 0), up, down, ratings, float(mean or 0.0), rankings, edits)
    return result


def _total(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((and_(*conditions), 1), else_=0))


def rated_page(connection: Connection, policy: str, watermark: int, after: str) -> tuple[list[RatedResponse], str]:
    """Return the next answers of `rated` after id `after`, and the id to go on from; empty at the end.

    A page may hold no answers although more follow: votes that were taken back leave none.
    """
    at_watermark = and_(events.c.policy == policy, events.c.seq <= watermark)
    ids = list(
        connection.scalars(
            select(events.c.response_id)
            .where(at_watermark, events.c.response_id > after)
            .distinct()
            .order_by(events.c.response_id)
            .limit(_PAGE)
        )
    )
    if not ids:
        return [], ""
    query = (
        select(events.c.seq, events.c.payload, events.c.response_id)
        .where(at_watermark, events.c.response_id.between(ids[0], ids[-1]))
        .order_by(events.c.response_id, events.c.seq)
    )
    answers = responses.get(connection, ids)
    page = []
    for response_id, rows in groupby(connection.execute(query), key=lambda row: row.response_id):
        votes = _last_of_each(rows)
        if votes:
            page.append(RatedResponse(answers[response_id], votes))
    return page, ids[-1]


def _last_of_each(rows: Iterable[Row[*tuple[Any, ...]]]) -> tuple[Feedback, ...]:
    """Return the votes that are current after these events of one answer, by (rater, kind)."""
    last: dict[_Key, FeedbackRecord] = {}
    for row in rows:
        record = decoded(row.payload)
        key = record.response_id, record.rater, record.kind.value
        earlier = last.get(key)
        if earlier is None or (earlier.time_us, earlier.feedback_id) < (record.time_us, record.feedback_id):
            last[key] = replace(record, sequence=row.seq) if isinstance(record, Feedback) else record
    return tuple(record for _, record in sorted(last.items()) if isinstance(record, Feedback))


def _vote(row: Row[*tuple[Any, ...]]) -> Feedback:
    record = decoded(row.payload)
    assert isinstance(record, Feedback)
    return replace(record, sequence=row.seq)
