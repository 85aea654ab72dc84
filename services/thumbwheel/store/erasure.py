"""Erasure of a user: answers, votes on them, votes given, what waits and what was dead-lettered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, func, select

from thumbwheel.database.schema import current_votes, feedback_events, orphans, responses, runs, trial_voices
from thumbwheel.records import ErasureReport
from thumbwheel.store import dead_letters
from thumbwheel.store.responses import ids_of
from thumbwheel.store.retention import horizon

_CHUNK = 1_000


def answers_concerning(connection: Connection, user_hash: str) -> list[str]:
    """Return, in order, the ids of the answers given to a user and of those the user's votes are about.

    The latter need not be here: a vote outlives its answer where it was given, with a token that is still good,
    after the answer was erased. It waits for it, and in the end is a dead letter.
    """
    ids = dead_letters.answers_in_mentions(connection, user_hash)
    for table in (feedback_events, orphans):  # before the answers: see `schema.SLICED`
        ids.update(connection.scalars(select(table.c.response_id).where(table.c.rater == user_hash)))
    return sorted(ids.union(ids_of(connection, user_hash)))


def erased_answers(connection: Connection, response_ids: Sequence[str]) -> set[str]:
    """Return those of the ids, all of answers that were stored once, that were erased and are not past."""
    past = horizon(connection)
    gone = {one for one in response_ids if one >= past}
    for chunk in _chunks(sorted(gone)):
        gone -= set(connection.scalars(select(responses.c.response_id).where(responses.c.response_id.in_(chunk))))
    return gone


def erase_user(connection: Connection, user_hash: str) -> ErasureReport:
    """Delete all rows about a user. A user's pseudonym is also the `rater` of the votes the user gave."""
    versions = _versions_trained_on(connection, user_hash)
    ids = ids_of(connection, user_hash)
    feedback = sum(_delete_feedback(connection, "response_id", chunk) for chunk in _chunks(ids))
    feedback += _delete_feedback(connection, "rater", [user_hash])
    connection.execute(delete(trial_voices).where(trial_voices.c.rater == user_hash))
    for chunk in _chunks(ids):
        connection.execute(delete(responses).where(responses.c.response_id.in_(chunk)))
    dead_letters.erase_mentions(connection, [user_hash, *ids])
    return ErasureReport(len(ids), feedback, versions)


def _delete_feedback(connection: Connection, column: str, values: Sequence[str]) -> int:
    connection.execute(delete(current_votes).where(current_votes.c[column].in_(values)))
    tables = feedback_events, orphans
    return sum(connection.execute(delete(table).where(table.c[column].in_(values))).rowcount for table in tables)


def _versions_trained_on(connection: Connection, user_hash: str) -> list[str]:
    """Return `policy/version` of every version made by a run whose watermark covers feedback of or on the user.

    Versions that descend from one of them have learned from it too.
    """
    first = _first_sequences(connection, user_hash)
    query = select(runs).where(runs.c.policy.in_(first), runs.c.candidate_version != "").order_by(runs.c.started_us)
    touched: set[tuple[str, str]] = set()
    for run in connection.execute(query) if first else ():
        direct = run.watermark >= first[run.policy]
        if direct or (run.policy, run.parent_version) in touched:
            touched.add((run.policy, run.candidate_version))
    return sorted(f"{policy}/{version}" for policy, version in touched)


def _first_sequences(connection: Connection, user_hash: str) -> dict[str, int]:
    """Return, by policy, the lowest sequence of the user's votes and of votes on the user's answers."""
    first: dict[str, int] = {}
    given = select(feedback_events.c.policy, func.min(feedback_events.c.seq)).group_by(feedback_events.c.policy)
    on_answers = given.join(responses, responses.c.response_id == feedback_events.c.response_id)
    queries = given.where(feedback_events.c.rater == user_hash), on_answers.where(responses.c.user_hash == user_hash)
    for query in queries:
        for policy, sequence in connection.execute(query):
            first[policy] = min(sequence, first.get(policy, sequence))
    return first


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
