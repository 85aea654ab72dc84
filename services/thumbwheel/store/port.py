"""The port of the feedback store: what was served, what users said of it, and the runs that learned from it.

Every adapter passes `tests/contract/store`. Calls block and are safe from any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from thumbwheel.events.outline import AnswerOutline, FeedbackOutline
from thumbwheel.records import (
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
    VoteCounts,
)

NO_PLACE = -1  # the log offset of feedback whose place in the log is not known


class Arrival(NamedTuple):
    """Feedback with its place in the log, for the dead letter that the store itself may make of it."""

    event: FeedbackOutline
    topic: str
    partition: int
    offset: int = NO_PLACE

    @property
    def key(self) -> tuple[str, str]:
        """The idempotency key: ids are chosen by clients, and nobody can take another's."""
        return self.event.rater, self.event.feedback_id

    def dead(self, reason: str) -> DeadLetter:
        """Return the dead letter this becomes."""
        return DeadLetter(self.topic, self.partition, self.offset, reason, self.event.payload, self.event.time_us)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one ingest transaction writes: rows, dead letters, and the consumer's next offset.

    Events are stored as the log has them, with whatever fields a newer writer gave them. `log_id` tells the topic from
    another of its name (`EventLog.identity`); empty where that is not known.
    """

    consumer: str
    topic: str
    partition: int
    expected_offset: int
    next_offset: int
    answers: Sequence[AnswerOutline] = ()
    feedback: Sequence[Arrival] = ()
    dead_letters: Sequence[DeadLetter] = ()
    log_id: str = ""


class Thumb(NamedTuple):
    """A current thumb, with its place in the order of ingest."""

    sequence: int
    version: str
    rater: str
    response_id: str
    up: bool
    time_us: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one training run of a policy. `fence` grows with every new holder."""

    policy: str
    holder: str
    fence: int
    expires_us: int


class FeedbackStore(Protocol):
    """Rows in, current votes out; one transaction a batch."""

    # --- ingest ---------------------------------------------------------------------------------
    def offset(self, consumer: str, topic: str, partition: int, log_id: str = "") -> int:
        """Return the consumer's next offset; 0 when it never committed, or did so for another topic than `log_id`.

        Where either is not known the topics are taken to be the same.
        """

    def is_untouched(self) -> bool:
        """Whether nothing was ever applied."""

    def apply(self, batch: Batch) -> None:
        """Write a batch and move the offset from `expected_offset` to `next_offset`, in one transaction.

        Rows that are there already are left as they are. A vote replaces the rater's earlier one of that kind
        if it is later by (time, id). Feedback for an unknown response waits as an orphan and is joined when
        the response arrives. What `forget_before` has made past is left out.

        Raises:
            Fenced: the stored offset is not `expected_offset`; nothing was written.
        """

    def expire_orphans(self, older_than_us: int) -> int:
        """Turn orphans received before this time into dead letters; return how many."""

    # --- votes ----------------------------------------------------------------------------------
    def response(self, response_id: str) -> LoggedResponse | None:
        """Return an answer, or None."""

    def current_vote(self, response_id: str, rater: str, kind: FeedbackKind) -> Feedback | None:
        """Return the rater's current vote of a kind on an answer, or None."""

    def has_voted(self, response_id: str, rater: str, kind: FeedbackKind) -> bool:
        """Whether the rater ever gave a vote of a kind on an answer, also if it was taken back since."""

    def has_feedback(self, record: Feedback | Retraction) -> bool:
        """Whether this is stored already, by (rater, id) and content whatever its time, also if it waits.

        Raises:
            AlreadyExists: something else is stored under its rater and id.
        """

    def votes_of(self, rater: str, limit: int) -> list[RatedResponse]:
        """Return the answers a rater has current votes on, newest vote first."""

    def vote_counts(self, policy: str) -> dict[str, VoteCounts]:
        """Return live feedback by version of a policy."""

    def watermark(self) -> int:
        """Return the ingest sequence of the latest feedback row; 0 when there is none."""

    def new_votes(self, policy: str, since: int) -> dict[FeedbackKind, int]:
        """Count current votes of a policy whose sequence is above `since`, by kind; kinds without any are left out."""

    def rated(self, policy: str, watermark: int) -> Iterator[RatedResponse]:
        """Stream answers of a policy with the votes that were current at `watermark`, in a fixed order.

        Memory stays bounded whatever the number of rows.
        """

    def answers_after(self, policy: str, response_id: str, limit: int) -> list[LoggedResponse]:
        """Return the answers of a policy among the next `limit` after an id, rated or not, in the order of ids."""

    def thumbs_after(self, policy: str, sequence: int, limit: int) -> tuple[list[Thumb], int]:
        """Return the thumbs among the next `limit` votes of a policy after `sequence`, and where to go on from."""

    def thumbs_before(self, policy: str, sequence: int, limit: int) -> list[Thumb]:
        """Return the thumbs among the last `limit` votes of a policy up to `sequence`, newest first."""

    def newest_answers(
        self, policy: str, version: str, span_us: tuple[int, int], looked_at: int
    ) -> list[LoggedResponse]:
        """Return a version's answers among the last `looked_at` of all policies, given in [from, to)."""

    # --- counters -------------------------------------------------------------------------------
    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Return the newest dead letters."""

    def dead_letters_from(self, number: int, limit: int) -> list[DeadLetter]:
        """Return at most `limit` dead letters from `number` on, in order; there may be gaps."""

    def remove_dead_letter(self, number: int) -> None:
        """Forget a dead letter for good; nothing happens if it is not there. Its number is not given again."""

    def count_dead_letters(self) -> int:
        """Count all dead letters."""

    def count_orphans(self) -> int:
        """Count feedback that waits for its response."""

    # --- audit ----------------------------------------------------------------------------------
    def audit(self, entry: AuditEntry) -> None:
        """Keep what was done, other than moves of a channel, which the registry keeps."""

    def audit_trail(self, policy: str, limit: int) -> list[AuditEntry]:
        """Return what was kept of a policy and of none in particular (empty: of all), newest first."""

    def enter_limits(self, limits: Mapping[str, float], actor: str) -> str:
        """Keep the gates' thresholds, by name, with an audit row that says what was changed, if any was.

        Returns what was changed in words; empty where they are as they were, or are kept for the first time.
        """

    # --- runs -----------------------------------------------------------------------------------
    def acquire_lease(self, policy: str, holder: str, ttl_s: float) -> Lease:
        """Take the policy's run lock, or one whose holder let it expire.

        Raises:
            RunInProgress: somebody else holds it.
        """

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Prolong a lease. Raises Fenced if somebody else has taken over."""

    def release_lease(self, lease: Lease) -> None:
        """Give the lock back; nothing happens if it was lost already."""

    def save_run(self, run: Run, lease: Lease) -> None:
        """Insert or update a run. Raises Fenced if the lease was lost.

        That a run ends as rejected or failed is kept in the audit trail, once; a version's moves are there anyway.
        """

    def run(self, run_id: str) -> Run | None:
        """Return a run, or None."""

    def runs(self, policy: str = "", limit: int = 20) -> list[Run]:
        """Return runs, newest first."""

    # --- erasure --------------------------------------------------------------------------------
    def answers_concerning(self, user_hash: str) -> list[str]:
        """Return the ids of the answers given to a user and of those the user's votes are about, in order.

        The latter whether the answer is here or not: under these ids lies whatever the log holds of the user.
        """

    def erased_answers(self, response_ids: Sequence[str]) -> set[str]:
        """Return those of the ids, all of answers that were stored once, that were erased; what is past was not."""

    def erase_user(self, user_hash: str, audited: AuditEntry | None = None) -> ErasureReport:
        """Remove a user's answers and votes for good (no copy stays in the database's files).

        `audited` is kept with them gone, its `subject` being the report: who has to call this again gets to see only
        what was left.

        Raises:
            Unavailable: copies may be left in the files; to be called again. The message has the report, if any.
        """

    # --- retention ------------------------------------------------------------------------------
    def forget_before(self, time_us: int, slice_days: int) -> Forgotten:
        """Forget answers that were given before a time, with all votes on them, and dead letters of before.

        The time is rounded down to whole slices of `slice_days` since the epoch, and never goes back. From then on
        older ones are not taken in again. Killed and called again it ends the same; writers never wait for long.
        """

    def close(self) -> None:
        """Release connections."""
