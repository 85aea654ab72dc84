"""Thumbs in the order in which they came in, for who follows them; and the newest answers of a version.

No query here reads more than it was asked for, however much there is: each walks an index and stops.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, Select, select

from thumbwheel.database.schema import current_votes as current
from thumbwheel.database.schema import responses
from thumbwheel.records import FeedbackKind, LoggedResponse
from thumbwheel.store.port import Thumb
from thumbwheel.store.responses import decoded

_VoteRow = Row[int, str, str, str, str, bool, bool | None, int]
_Votes = Select[int, str, str, str, str, bool, bool | None, int]


def after(connection: Connection, policy: str, sequence: int, limit: int) -> tuple[list[Thumb], int]:
    """Return the thumbs among the next `limit` votes of a policy after `sequence`, and the sequence to go on from."""
    rows = connection.execute(_votes(policy).where(current.c.seq > sequence).order_by(current.c.seq).limit(limit)).all()
    return _thumbs(rows), rows[-1].seq if rows else sequence


def before(connection: Connection, policy: str, sequence: int, limit: int) -> list[Thumb]:
    """Return the thumbs among the last `limit` votes of a policy up to `sequence`, newest first."""
    query = _votes(policy).where(current.c.seq <= sequence).order_by(current.c.seq.desc()).limit(limit)
    return _thumbs(connection.execute(query).all())


def newest_answers(
    connection: Connection, policy: str, version: str, span: tuple[str, str], looked_at: int
) -> list[LoggedResponse]:
    """Return a version's answers among the last `looked_at` answers of all policies with ids in [from, to)."""
    columns = responses.c.response_id, responses.c.policy, responses.c.version, responses.c.payload
    last = select(*columns).where(responses.c.response_id >= span[0], responses.c.response_id < span[1])
    newest = last.order_by(responses.c.response_id.desc()).limit(looked_at).subquery()
    query = select(newest.c.payload).where(newest.c.policy == policy, newest.c.version == version)
    return [decoded(payload) for payload in connection.scalars(query)]


def _votes(policy: str) -> _Votes:
    columns = current.c.seq, current.c.version, current.c.rater, current.c.response_id, current.c.kind
    return select(*columns, current.c.retracted, current.c.thumb_up, current.c.time_us).where(
        current.c.policy == policy
    )


def _thumbs(rows: Sequence[_VoteRow]) -> list[Thumb]:
    return [
        Thumb(row.seq, row.version, row.rater, row.response_id, bool(row.thumb_up), row.time_us)
        for row in rows
        if row.kind == FeedbackKind.THUMB.value and not row.retracted
    ]
