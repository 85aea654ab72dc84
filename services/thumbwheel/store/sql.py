"""The SQL store: transactions, and in each the statements of the files beside this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine

from thumbwheel.database import slices
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.database.scrub import scrub
from thumbwheel.database.sqlite_setup import roomy
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import Unavailable
from thumbwheel.records import (
    AuditAction,
    AuditEntry,
    DeadLetter,
    ErasureReport,
    Feedback,
    FeedbackKind,
    Forgotten,
    LoggedResponse,
    RatedResponse,
    Retraction,
    Run,
    RunState,
    VoteCounts,
)
from thumbwheel.store import (
    arrivals,
    audit,
    dead_letters,
    erasure,
    gate_limits,
    leases,
    offsets,
    orphans,
    responses,
    retention,
    runs,
    thumbs,
    votes,
)
from thumbwheel.store.port import Arrival, Batch, FeedbackStore, Lease, Thumb
from thumbwheel.store.room import Room


def now_us() -> int:
    """Return the time in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


def open_store(url: str) -> FeedbackStore:
    """Open the store at a database URL, for example `sqlite:///store.sqlite`, and bring its schema up to date.

    Raises:
        InvalidConfig: the URL is not usable.
        SchemaMismatch: a newer version wrote the database.
        Unavailable: the database can not be reached or written.
    """
    engine = connect(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine)


class SqlStore:
    """A `FeedbackStore` on an SQL database. `clock` gives microseconds, for leases."""

    def __init__(self, engine: Engine, clock: Callable[[], int] = now_us) -> None:
        """Work on `engine`, whose schema is up to date; `close` disposes of it."""
        self._engine = engine
        self._clock = clock
        self._room = Room()

    # --- ingest ---------------------------------------------------------------------------------
    def offset(self, consumer: str, topic: str, partition: int, log_id: str = "") -> int:
        """Return the consumer's next offset; 0 when it never committed, or did so for another topic."""
        with reading(self._engine) as connection:
            return offsets.next_offset(connection, consumer, topic, partition, log_id)

    def is_untouched(self) -> bool:
        """Whether nothing was ever applied."""
        with reading(self._engine) as connection:
            return not offsets.any_committed(connection)

    def apply(self, batch: Batch) -> None:
        """Write a batch and move the offset, in one transaction. Raises Fenced, Unavailable."""
        with writing(self._engine) as connection:
            offsets.advance(connection, batch)
            batch = retention.without_past(connection, batch)
            self._room.make(connection, [one.response_id for one in batch.answers])
            dead_letters.add(connection, batch.dead_letters)
            added = responses.add(connection, batch.answers)
            joined = orphans.take(connection, added)
            _settle(connection, batch.feedback, joined)

    def expire_orphans(self, older_than_us: int) -> int:
        """Turn orphans received before this time into dead letters; return how many."""
        with writing(self._engine) as connection:
            expired = orphans.take_older(connection, older_than_us)
            dead_letters.add(connection, [arrival.dead(arrivals.NO_RESPONSE) for arrival in expired])
            return len(expired)

    # --- votes ----------------------------------------------------------------------------------
    def response(self, response_id: str) -> LoggedResponse | None:
        """Return an answer, or None."""
        with reading(self._engine) as connection:
            return responses.get(connection, [response_id]).get(response_id)

    def current_vote(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        """Return the rater's current vote of a kind on an answer, or None."""
        with reading(self._engine) as connection:
            return votes.current_vote(connection, response_id, rater, kind)

    def has_voted(self, response_id: str, rater: str, kind: FeedbackKind) -> bool:
        """Whether the rater ever gave a vote of a kind on an answer, also if it was taken back since."""
        with reading(self._engine) as connection:
            return votes.has_voted(connection, response_id, rater, kind)

    def has_feedback(self, record: Feedback | Retraction) -> bool:
        """Whether this is stored already, waiting or not. Raises AlreadyExists for other content under its id."""
        with reading(self._engine) as connection:
            return arrivals.is_stored(connection, record)

    def votes_of(self, rater: str, limit: int) -> list[RatedResponse]:
        """Return the answers a rater has current votes on, newest vote first, with that rater's votes."""
        with reading(self._engine) as connection:
            return votes.votes_of(connection, rater, limit)

    def vote_counts(self, policy: str) -> dict[str, VoteCounts]:
        """Return live feedback by version of a policy."""
        with reading(self._engine) as connection:
            return votes.counts(connection, policy)

    def watermark(self) -> int:
        """Return the ingest sequence of the latest feedback row; 0 when there never was one."""
        with reading(self._engine) as connection:
            return votes.watermark(connection)

    def new_votes(self, policy: str, since: int) -> dict[FeedbackKind, int]:
        """Count current votes of a policy whose sequence is above `since`, by kind; kinds without any are left out."""
        with reading(self._engine) as connection:
            return votes.new_votes(connection, policy, since)

    def rated(self, policy: str, watermark: int) -> Iterator[RatedResponse]:
        """Stream answers of a policy with the votes that were current at `watermark`, in the order of their ids.

        Each page is a transaction of its own: a slow reader holds nothing up.
        """
        after = ""
        while True:
            with reading(self._engine) as connection:
                page, after = votes.rated_page(connection, policy, watermark, after)
            if not after:
                return
            yield from page

    def answers_after(self, policy: str, response_id: str, limit: int) -> list[LoggedResponse]:
        """Return the answers of a policy among the next `limit` after an id."""
        with reading(self._engine) as connection:
            return responses.following(connection, policy, response_id, limit)

    def thumbs_after(self, policy: str, sequence: int, limit: int) -> tuple[list[Thumb], int]:
        """Return the thumbs among the next `limit` votes of a policy after `sequence`, and where to go on from."""
        with reading(self._engine) as connection:
            return thumbs.after(connection, policy, sequence, limit)

    def thumbs_before(self, policy: str, sequence: int, limit: int) -> list[Thumb]:
        """Return the thumbs among the last `limit` votes of a policy up to `sequence`, newest first."""
        with reading(self._engine) as connection:
            return thumbs.before(connection, policy, sequence, limit)

    def newest_answers(
        self, policy: str, version: str, span_us: tuple[int, int], looked_at: int
    ) -> list[LoggedResponse]:
        """Return a version's answers among the last `looked_at` of all policies, given in [from, to)."""
        span = slices.first_id(span_us[0] // 1_000), slices.first_id(span_us[1] // 1_000)
        with reading(self._engine) as connection:
            return thumbs.newest_answers(connection, policy, version, span, looked_at)

    # --- counters -------------------------------------------------------------------------------
    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Return the newest dead letters."""
        with reading(self._engine) as connection:
            return dead_letters.newest(connection, limit)

    def dead_letters_from(self, number: int, limit: int) -> list[DeadLetter]:
        """Return dead letters from a number on, in order."""
        with reading(self._engine) as connection:
            return dead_letters.following(connection, number, limit)

    def remove_dead_letter(self, number: int) -> None:
        """Forget a dead letter; nothing happens if it is not there."""
        with writing(self._engine) as connection:
            dead_letters.remove(connection, number)

    def count_dead_letters(self) -> int:
        """Count all dead letters."""
        with reading(self._engine) as connection:
            return dead_letters.count(connection)

    def count_orphans(self) -> int:
        """Count feedback that waits for its response."""
        with reading(self._engine) as connection:
            return orphans.count(connection)

    # --- audit ----------------------------------------------------------------------------------
    def audit(self, entry: AuditEntry) -> None:
        """Keep what was done, other than moves of a channel."""
        with writing(self._engine) as connection:
            audit.add(connection, entry)

    def audit_trail(self, policy: str, limit: int) -> list[AuditEntry]:
        """Return what was kept of a policy and of none in particular (empty: of all), newest first."""
        with reading(self._engine) as connection:
            return audit.newest(connection, policy, limit)

    def enter_limits(self, limits: Mapping[str, float], actor: str) -> str:
        """Keep the gates' thresholds, with an audit row that says what was changed, if any was."""
        with writing(self._engine) as connection:
            return gate_limits.enter(connection, limits, actor, self._clock())

    # --- runs -----------------------------------------------------------------------------------
    def acquire_lease(self, policy: str, holder: str, ttl_s: float) -> Lease:
        """Take the policy's run lock; a holder may take its own again. Raises RunInProgress."""
        with writing(self._engine) as connection:
            return leases.acquire(connection, policy, holder, self._clock(), _us(ttl_s))

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Prolong a lease. Raises Fenced if somebody else has taken over."""
        with writing(self._engine) as connection:
            return leases.renew(connection, lease, self._clock(), _us(ttl_s))

    def release_lease(self, lease: Lease) -> None:
        """Give the lock back; nothing happens if it was lost already."""
        with writing(self._engine) as connection:
            leases.release(connection, lease)

    def save_run(self, run: Run, lease: Lease) -> None:
        """Insert or update a run; its end without a version is audited. Raises Fenced if the lease was lost."""
        with writing(self._engine) as connection:
            leases.demand(connection, lease)
            before = runs.get(connection, run.run_id)
            runs.save(connection, run)
            if run.state in (RunState.REJECTED, RunState.FAILED) and not (before and before.state.is_final):
                audit.add(connection, _ended(run))

    def run(self, run_id: str) -> Run | None:
        """Return a run, or None."""
        with reading(self._engine) as connection:
            return runs.get(connection, run_id)

    def runs(self, policy: str = "", limit: int = 20) -> list[Run]:
        """Return runs, newest first."""
        with reading(self._engine) as connection:
            return runs.newest(connection, policy, limit)

    # --- erasure --------------------------------------------------------------------------------
    def answers_concerning(self, user_hash: str) -> list[str]:
        """Return the ids of the answers given to a user and of those the user's votes are about, in order."""
        with reading(self._engine) as connection:
            return erasure.answers_concerning(connection, user_hash)

    def erased_answers(self, response_ids: Sequence[str]) -> set[str]:
        """Return those of the ids, all of answers that were stored once, that were erased."""
        with reading(self._engine) as connection:
            return erasure.erased_answers(connection, response_ids)

    def erase_user(self, user_hash: str, audited: AuditEntry | None = None) -> ErasureReport:
        """Remove a user's answers and votes for good. Raises Unavailable when it is to be called again."""
        with writing(self._engine) as connection:
            report = erasure.erase_user(connection, user_hash)
            if audited is not None:
                audit.add(connection, replace(audited, subject=str(report)))
        try:
            scrub(self._engine)
        except Unavailable as error:
            raise Unavailable(f"erased: {report}. But {error}", error.retry_after_s) from error
        return report

    # --- retention ------------------------------------------------------------------------------
    def forget_before(self, time_us: int, slice_days: int) -> Forgotten:
        """Forget older answers with the votes on them. Raises Unavailable: to be called again."""
        with writing(self._engine) as connection:
            horizon = retention.move(connection, time_us // 1_000, slice_days)
            slices = retention.drop(connection, horizon)
            self._room.make_ahead(connection, self._clock() // 1_000)
        rows = 0
        for batch in retention.BATCHES:
            while True:
                with writing(self._engine) as connection, roomy(connection):
                    deleted = batch(connection, horizon)
                rows += deleted
                if not deleted:
                    break
        return Forgotten(retention.time_us_of(horizon), slices, rows)

    def close(self) -> None:
        """Release connections."""
        self._engine.dispose()


def _settle(connection: Connection, fresh: Sequence[Arrival], joined: Sequence[Arrival]) -> None:
    """Give each piece of feedback its place: among the votes, the orphans or the dead letters."""
    if not fresh and not joined:
        return
    placed = arrivals.sort(connection, fresh, joined)
    votes.add(connection, placed.accepted)
    orphans.add(connection, placed.waiting)
    dead_letters.add(connection, placed.dead)


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _ended(run: Run) -> AuditEntry:
    reason = f"{run.state}: {run.error or run.summary}"
    return AuditEntry(run.ended_us, AuditAction.RUN_ENDED, "retrain", reason, run.policy, run.run_id)
