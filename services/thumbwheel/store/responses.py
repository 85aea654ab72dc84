"""Answers as they were served, with their encoded events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, func, select

from thumbwheel.database.lists import among, listed
from thumbwheel.database.rows import insert_rows
from thumbwheel.database.schema import responses as table
from thumbwheel.errors import DamagedArtifact, PoisonRecord
from thumbwheel.events.convert import decode
from thumbwheel.events.outline import AnswerOutline
from thumbwheel.records import LoggedResponse


def add(connection: Connection, answers: Sequence[AnswerOutline]) -> list[str]:
    """Insert those that are not there yet, of several with one id the first; return their ids."""
    fresh = {one.response_id: one for one in reversed(answers)}
    for response_id in refs(connection, fresh):
        del fresh[response_id]
    insert_rows(connection, table, list(fresh.values()))
    return list(fresh)


def refs(connection: Connection, response_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return (policy, version) of those of the answers that are there."""
    wanted = list(response_ids)
    if not wanted:
        return {}
    query = select(table.c.policy, table.c.version, listed(connection, table.c.response_id)).where(
        among(connection, table.c.response_id, wanted)
    )
    found: dict[str, tuple[str, str]] = {}
    for policy, version, ids in connection.execute(query.group_by(table.c.policy, table.c.version)):
        found.update(dict.fromkeys(ids, (policy, version)))
    return found


def get(connection: Connection, response_ids: Iterable[str]) -> dict[str, LoggedResponse]:
    """Return those of the answers that are there, by id."""
    wanted = list(response_ids)
    if not wanted:
        return {}
    query = select(table.c.response_id, table.c.payload).where(among(connection, table.c.response_id, wanted))
    return {row.response_id: decoded(row.payload) for row in connection.execute(query)}


def following(connection: Connection, policy: str, after: str, limit: int) -> list[LoggedResponse]:
    """Return the answers of a policy among the next `limit` after an id, in order: a walk along the key, no further."""
    query = (
        select(table.c.policy, table.c.payload)
        .where(table.c.response_id > after)
        .order_by(table.c.response_id)
        .limit(limit)
    )
    return [decoded(row.payload) for row in connection.execute(query) if row.policy == policy]


def count_by_version(connection: Connection, policy: str) -> dict[str, int]:
    """Count the answers of each version of a policy."""
    query = select(table.c.version, func.count()).where(table.c.policy == policy).group_by(table.c.version)
    return {version: count for version, count in connection.execute(query)}


def ids_of(connection: Connection, user_hash: str) -> list[str]:
    """Return the ids of a user's answers, in order."""
    query = select(table.c.response_id).where(table.c.user_hash == user_hash).order_by(table.c.response_id)
    return list(connection.scalars(query))


def decoded(payload: bytes) -> LoggedResponse:
    """Return a stored answer. Raises DamagedArtifact."""
    try:
        record = decode(payload)
    except PoisonRecord as error:
        raise DamagedArtifact(f"a stored answer can not be read ({error}): restore the database") from error
    if not isinstance(record, LoggedResponse):
        raise DamagedArtifact("a stored answer is of another kind: restore the database")
    return record
