"""Tables of the store and the registry.

Times are microseconds since the Unix epoch. `payload` columns hold an encoded `events.v1.Event`, so that nothing
of a record is lost; the columns beside it are those that queries look at. Flags and small numbers are integers,
names are text: every type here exists in every database. What changes here needs a migration.

The tables that grow with every answer (`SLICED`) are partitioned on PostgreSQL by `response_id`, which begins with the
time of the answer: see `slices.py`. Therefore it is in each of their keys.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite numbers rows by itself only in a column that is called INTEGER.
_RowId = BigInteger().with_variant(Integer(), "sqlite")

# --- registry -----------------------------------------------------------------------------------------------

versions = Table(
    "versions",
    metadata,
    Column("policy", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("parent", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("location", Text, nullable=False),  # of its files, in the artifact store
    PrimaryKeyConstraint("policy", "version"),
    UniqueConstraint("policy", "seq"),
    Index(None, "policy", "run_id"),
)

channels = Table(
    "channels",
    metadata,
    Column("policy", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    PrimaryKeyConstraint("policy", "channel"),
)

channel_history = Table(
    "channel_history",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("time_us", BigInteger, nullable=False),
    Column("policy", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence_digest", Text, nullable=False),
    Column("is_rollback", Boolean, nullable=False),
    Index(None, "policy", "id"),
    sqlite_autoincrement=True,
)

# One row, id 1, made by the migration.
registry_generation = Table(
    "registry_generation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)

# --- store: ingest ------------------------------------------------------------------------------------------

consumer_offsets = Table(
    "consumer_offsets",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("log_id", Text, nullable=False),  # which topic of that name it was, see `EventLog.identity`; may be empty
    PrimaryKeyConstraint("consumer", "topic", "partition"),
)

# One row a counter. `feedback` is the ingest sequence: raised inside the transaction that inserts the rows, so that
# rows become visible in the order of their sequence and a watermark never gains rows later.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

responses = Table(
    "responses",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("user_hash", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index(None, "policy", "version"),
    Index(None, "user_hash"),
    postgresql_partition_by="RANGE (response_id)",
)

feedback_events = Table(
    "feedback_events",
    metadata,
    Column("response_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    Column("rater", Text, nullable=False),
    Column("feedback_id", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    PrimaryKeyConstraint("response_id", "seq"),
    # A rater's id is used once, on whatever answer: ingest looks before it writes, and alone. This here catches less.
    UniqueConstraint("feedback_id", "rater", "response_id"),
    # `rated()` walks this one: answers in a fixed order, each with its events.
    Index(None, "policy", "response_id", "seq"),
    Index(None, "rater"),
    postgresql_partition_by="RANGE (response_id)",
)

# The last event of each (response, rater, kind), retractions too: a vote that arrives after a later retraction
# must find it.
current_votes = Table(
    "current_votes",
    metadata,
    Column("response_id", Text, nullable=False),
    Column("rater", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("policy", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("feedback_id", Text, nullable=False),
    Column("retracted", Boolean, nullable=False),
    Column("thumb_up", Boolean),
    Column("rating", Integer),
    PrimaryKeyConstraint("response_id", "rater", "kind"),
    Index(None, "rater", "time_us"),
    Index(None, "policy", "seq"),
    # `vote_counts()` is answered from this index alone.
    Index("ix_current_votes_counts", "policy", "version", "kind", "retracted", "thumb_up", "rating"),
    postgresql_partition_by="RANGE (response_id)",
)

# In the order in which readers come to them; who locks them takes them in this order, too.
SLICED = (current_votes, feedback_events, responses)

orphans = Table(
    "orphans",
    metadata,
    Column("rater", Text, nullable=False),
    Column("feedback_id", Text, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    PrimaryKeyConstraint("feedback_id", "rater"),
    Index(None, "response_id"),
    Index(None, "rater"),
    Index(None, "time_us"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Index(None, "time_us"),
    sqlite_autoincrement=True,
)

# --- store: retention and erasure ---------------------------------------------------------------------------

# One row, id 1, made by the migration. Answers whose id is below `horizon` are past, and so are the votes on them: they
# are gone, and what a log still has of them is not taken in again. `slice_days`: what is forgotten at once.
retention = Table(
    "retention",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("horizon", Text, nullable=False),
    Column("slice_days", Integer, nullable=False),
)

# The keys that users' events are sealed with in Kafka, themselves encrypted; see `bus/sealed_log.py`.
user_keys = Table(
    "user_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("user_hash", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Index(None, "user_hash"),
)

# --- access -------------------------------------------------------------------------------------------------

# Who may call what; `verifier` is a memory-hard hash of the key's secret part, see `access/api_keys.py`.
api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # joined by commas
    Column("verifier", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger, nullable=False),
    Column("last_used_us", BigInteger, nullable=False),
)

# --- store: audit -------------------------------------------------------------------------------------------

# What operators and schedules did that moved no channel. It names no user.
audit = Table(
    "audit",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("time_us", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "policy", "id"),
    sqlite_autoincrement=True,
)

# --- trials: a version among users, held against another ----------------------------------------------------

# At most one of a policy is running. What users said is counted here as far as `cursor`, a sequence of feedback; each
# write raises `revision`, so that of several who watch one counts. `share_ppm`: users who get the version, per million.
trials = Table(
    "trials",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("policy", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("control", Text, nullable=False),
    Column("share_ppm", Integer, nullable=False),
    Column("salt", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger, nullable=False),
    Column("start_seq", BigInteger, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("up", BigInteger, nullable=False),
    Column("down", BigInteger, nullable=False),
    Column("control_up", BigInteger, nullable=False),
    Column("control_down", BigInteger, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Index(None, "policy", "id"),
    Index(None, "state"),
    sqlite_autoincrement=True,
)

# Who has been heard in a running trial, so that each user has one voice on each version; emptied at its end.
trial_voices = Table(
    "trial_voices",
    metadata,
    Column("trial_id", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("rater", Text, nullable=False),
    PrimaryKeyConstraint("trial_id", "version", "rater"),
    Index(None, "rater"),
)

# How each process that serves fared with both versions of a running trial; emptied at its end.
trial_serving = Table(
    "trial_serving",
    metadata,
    Column("trial_id", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("latencies", Text, nullable=False),  # JSON: requests by latency bucket, see `registry/serving_tally.py`
    PrimaryKeyConstraint("trial_id", "version", "process"),
)

# The thresholds of the gates as they were from a time on, a row a change.
gate_limits = Table(
    "gate_limits",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("time_us", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("limits", Text, nullable=False),  # JSON: threshold by gate
    sqlite_autoincrement=True,
)

# --- store: runs --------------------------------------------------------------------------------------------

# The row stays when the lease is given back, so that `fence` only grows.
leases = Table(
    "leases",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("parent_version", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger, nullable=False),
    Column("candidate_version", Text, nullable=False),
    Column("watermark", BigInteger, nullable=False),
    Column("votes", BigInteger, nullable=False),
    Column("summary", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("report_path", Text, nullable=False),
    Column("gates", Text, nullable=False),
    Index(None, "policy", "started_us"),
    Index(None, "started_us"),
)
