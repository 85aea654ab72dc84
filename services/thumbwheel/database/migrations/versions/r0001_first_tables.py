"""The first tables of store and registry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
lost = "everything: answers, votes, policies, versions, channels with their history, runs, dead letters"

_TABLES = (
    "versions",
    "channels",
    "channel_history",
    "registry_generation",
    "consumer_offsets",
    "counters",
    "responses",
    "dead_letters",
    "feedback_events",
    "current_votes",
    "orphans",
    "leases",
    "runs",
)


def upgrade() -> None:
    """Make all tables, and the rows that are there from the start."""
    _registry()
    _ingest()
    _votes()
    _runs()
    op.execute("INSERT INTO registry_generation (id, value) VALUES (1, 0)")
    op.execute("INSERT INTO counters (name, value) VALUES ('feedback', 0)")


def downgrade() -> None:
    """Drop all tables."""
    for table in _TABLES:
        op.drop_table(table)


def _registry() -> None:
    op.create_table(
        "versions",
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("parent", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("manifest", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy", "version", name=op.f("pk_versions")),
        sa.UniqueConstraint("policy", "seq", name=op.f("uq_versions_policy_seq")),
    )
    op.create_index(op.f("ix_versions_policy_run_id"), "versions", ["policy", "run_id"], unique=False)
    op.create_table(
        "channels",
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy", "channel", name=op.f("pk_channels")),
    )
    op.create_table(
        "channel_history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("previous", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("evidence_digest", TEXT, nullable=False),
        sa.Column("is_rollback", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_history")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_channel_history_policy_id"), "channel_history", ["policy", "id"], unique=False)
    op.create_table(
        "registry_generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_generation")),
    )


def _ingest() -> None:
    op.create_table(
        "consumer_offsets",
        sa.Column("consumer", TEXT, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "topic", "partition", name=op.f("pk_consumer_offsets")),
    )
    op.create_table(
        "counters",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "responses",
        sa.Column("response_id", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("user_hash", TEXT, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("response_id", name=op.f("pk_responses")),
    )
    op.create_index(op.f("ix_responses_policy_version"), "responses", ["policy", "version"], unique=False)
    op.create_index(op.f("ix_responses_user_hash"), "responses", ["user_hash"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
        sqlite_autoincrement=True,
    )


def _votes() -> None:
    op.create_table(
        "feedback_events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("rater", TEXT, nullable=False),
        sa.Column("feedback_id", TEXT, nullable=False),
        sa.Column("response_id", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_feedback_events")),
        sa.UniqueConstraint("feedback_id", "rater", name=op.f("uq_feedback_events_feedback_id_rater")),
    )
    op.create_index(
        op.f("ix_feedback_events_policy_response_id_seq"),
        "feedback_events",
        ["policy", "response_id", "seq"],
        unique=False,
    )
    op.create_index(op.f("ix_feedback_events_rater"), "feedback_events", ["rater"], unique=False)
    op.create_index(op.f("ix_feedback_events_response_id"), "feedback_events", ["response_id"], unique=False)
    op.create_table(
        "current_votes",
        sa.Column("response_id", TEXT, nullable=False),
        sa.Column("rater", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("feedback_id", TEXT, nullable=False),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.Column("thumb_up", sa.Boolean(), nullable=True),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("response_id", "rater", "kind", name=op.f("pk_current_votes")),
    )
    op.create_index(
        "ix_current_votes_counts",
        "current_votes",
        ["policy", "version", "kind", "retracted", "thumb_up", "rating"],
        unique=False,
    )
    op.create_index(op.f("ix_current_votes_policy_seq"), "current_votes", ["policy", "seq"], unique=False)
    op.create_index(op.f("ix_current_votes_rater_time_us"), "current_votes", ["rater", "time_us"], unique=False)
    op.create_table(
        "orphans",
        sa.Column("rater", TEXT, nullable=False),
        sa.Column("feedback_id", TEXT, nullable=False),
        sa.Column("response_id", TEXT, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("feedback_id", "rater", name=op.f("pk_orphans")),
    )
    op.create_index(op.f("ix_orphans_rater"), "orphans", ["rater"], unique=False)
    op.create_index(op.f("ix_orphans_response_id"), "orphans", ["response_id"], unique=False)
    op.create_index(op.f("ix_orphans_time_us"), "orphans", ["time_us"], unique=False)


def _runs() -> None:
    op.create_table(
        "leases",
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy", name=op.f("pk_leases")),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("parent_version", TEXT, nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=False),
        sa.Column("candidate_version", TEXT, nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.Column("votes", sa.BigInteger(), nullable=False),
        sa.Column("summary", TEXT, nullable=False),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("report_path", TEXT, nullable=False),
        sa.Column("gates", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_policy_started_us"), "runs", ["policy", "started_us"], unique=False)
    op.create_index(op.f("ix_runs_started_us"), "runs", ["started_us"], unique=False)
