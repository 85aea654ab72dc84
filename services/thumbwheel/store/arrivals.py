"""Feedback on its way in: which of it counts, which waits for its answer, which is a dead letter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, bindparam, select, union_all

from thumbwheel.database.lists import among
from thumbwheel.database.schema import feedback_events, orphans
from thumbwheel.errors import AlreadyExists
from thumbwheel.events.convert import decode
from thumbwheel.events.outline import FeedbackOutline
from thumbwheel.records import DeadLetter, Feedback, Retraction
from thumbwheel.store import responses
from thumbwheel.store.port import Arrival

FeedbackRecord = Feedback | Retraction

CONFLICT = "another content under a feedback_id that this rater has used before"
WRONG_VERSION = "names another policy or version than the answer it is about"
NO_RESPONSE = "its answer did not arrive in time"


# Asked at every vote, so it is one query and made once.
_OF_KEY = union_all(
    *(
        select(table.c.payload).where(
            table.c.rater == bindparam("rater"), table.c.feedback_id == bindparam("feedback_id")
        )
        for table in (feedback_events, orphans)
    )
)


@dataclass(slots=True)
class Sorted:
    """Arrivals by what becomes of them. `accepted` go with the policy and version of their answer."""

    accepted: list[tuple[FeedbackOutline, tuple[str, str]]] = field(default_factory=list)
    waiting: list[Arrival] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


def sort(connection: Connection, fresh: Sequence[Arrival], joined: Sequence[Arrival]) -> Sorted:
    """Sort new feedback, and orphans whose answer is here now. What was stored before is left out."""
    result = Sorted()
    candidates = [*joined, *_unseen(connection, fresh, joined, result)]
    refs = responses.refs(connection, {arrival.event.response_id for arrival in candidates})
    for arrival in candidates:
        event = arrival.event
        ref = refs.get(event.response_id)
        if ref is None:
            result.waiting.append(arrival)
        elif not event.retracted and ref != (event.policy, event.version):
            result.dead.append(arrival.dead(WRONG_VERSION))
        else:
            result.accepted.append((event, ref))
    return result


def is_stored(connection: Connection, record: FeedbackRecord) -> bool:
    """Whether this is stored, orphans too. Raises AlreadyExists for other content under its idempotency key."""
    payload = connection.scalar(_OF_KEY, {"rater": record.rater, "feedback_id": record.feedback_id})
    if payload is not None and _content(decoded(payload)) != _content(record):
        raise AlreadyExists("feedback_id: was used for other feedback before; make a new one for each")
    return payload is not None


def _unseen(
    connection: Connection, fresh: Sequence[Arrival], joined: Sequence[Arrival], result: Sorted
) -> list[Arrival]:
    """Return what has a new key; the same again is dropped, other content under a used key is a dead letter."""
    known = _stored(connection, {arrival.event.feedback_id for arrival in fresh})
    known.update((arrival.key, arrival.event.payload) for arrival in joined)
    unseen = []
    for arrival in fresh:
        key, payload = arrival.key, arrival.event.payload
        earlier = known.get(key)
        if earlier is None:
            known[key] = payload
            unseen.append(arrival)
        elif earlier != payload and _content(decoded(earlier)) != _content(decoded(payload)):
            result.dead.append(arrival.dead(CONFLICT))
    return unseen


def _stored(connection: Connection, feedback_ids: Collection[str]) -> dict[tuple[str, str], bytes]:
    """Return the events that are stored under these ids, of all raters, orphans too."""
    found: dict[tuple[str, str], bytes] = {}
    for table in (feedback_events, orphans) if feedback_ids else ():
        query = select(table.c.rater, table.c.feedback_id, table.c.payload).where(
            among(connection, table.c.feedback_id, feedback_ids)
        )
        found.update(((rater, feedback_id), payload) for rater, feedback_id, payload in connection.execute(query))
    return found


def decoded(payload: bytes) -> FeedbackRecord:
    """Return the record of a stored payload."""
    record = decode(payload)
    assert isinstance(record, Feedback | Retraction)
    return record


def _content(record: FeedbackRecord) -> FeedbackRecord:
    """Return the record without what a client that tries again can not repeat: the server's time and order."""
    if isinstance(record, Feedback):
        return replace(record, time_us=0, sequence=0)
    return replace(record, time_us=0)
