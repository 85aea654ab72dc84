"""Tables that grow in slices of time on PostgreSQL, so that retention drops a slice; the keys of users in Kafka."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
lost = "the keys that open users' events in Kafka, until the next upgrade reads them again; how far retention has gone"

_SLICE_MS = 28 * 86_400_000
_PARTITIONED = {"postgresql_partition_by": "RANGE (response_id)"}
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # where it is the key alone, SQLite's own row id
_INDEXES = {
    "current_votes": (
        ("ix_current_votes_counts", ["policy", "version", "kind", "retracted", "thumb_up", "rating"]),
        ("ix_current_votes_policy_seq", ["policy", "seq"]),
        ("ix_current_votes_rater_time_us", ["rater", "time_us"]),
    ),
    "feedback_events": (
        ("ix_feedback_events_policy_response_id_seq", ["policy", "response_id", "seq"]),
        ("ix_feedback_events_rater", ["rater"]),
    ),
    "responses": (
        ("ix_responses_policy_version", ["policy", "version"]),
        ("ix_responses_user_hash", ["user_hash"]),
    ),
}
_BY_ANSWER_ALONE = ("ix_feedback_events_response_id", ["response_id"])


def upgrade() -> None:
    """Make the tables anew, each answer and its votes in the slice of its time, and the two that are new."""
    _remake(sliced=True)
    op.create_index(op.f("ix_dead_letters_time_us"), "dead_letters", ["time_us"])
    op.create_table(
        "retention",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("horizon", TEXT, nullable=False),
        sa.Column("slice_days", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention")),
    )
    op.execute("INSERT INTO retention (id, horizon, slice_days) VALUES (1, '', 28)")
    op.create_table(
        "user_keys",
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("user_hash", TEXT, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_user_keys")),
    )
    op.create_index(op.f("ix_user_keys_user_hash"), "user_keys", ["user_hash"])
    _read_keys_from_the_start()


def downgrade() -> None:
    """Make the tables whole again. Until the next upgrade, what Kafka has of users can not be read."""
    op.drop_table("user_keys")
    _read_keys_from_the_start()
    op.drop_table("retention")
    op.drop_index(op.f("ix_dead_letters_time_us"), "dead_letters")
    _remake(sliced=False)


def _read_keys_from_the_start() -> None:
    """Forget how far the topic of keys was read: an empty table beside that place would make all users look erased."""
    op.execute("DELETE FROM consumer_offsets WHERE topic LIKE '%thumbwheel.userkeys'")


def _remake(sliced: bool) -> None:
    for table in _INDEXES:
        _set_aside(table, sliced)
        _make(table, sliced)
        for name, columns in _INDEXES[table]:
            op.create_index(name, table, columns)
        if table == "feedback_events" and not sliced:
            op.create_index(_BY_ANSWER_ALONE[0], table, _BY_ANSWER_ALONE[1])
        if sliced and op.get_bind().dialect.name == "postgresql":
            _make_slices(table)
        _copy(table)


def _set_aside(table: str, sliced: bool) -> None:
    """Rename the table as it is, and free the names of its indexes and constraints."""
    for name, _ in (*_INDEXES[table], *((_BY_ANSWER_ALONE,) if table == "feedback_events" and sliced else ())):
        op.drop_index(name, table)
    if op.get_bind().dialect.name == "postgresql":  # SQLite does not mind
        if table == "feedback_events":
            before = "feedback_id_rater" if sliced else "feedback_id_rater_response_id"
            op.drop_constraint(f"uq_feedback_events_{before}", table)
        op.drop_constraint(f"pk_{table}", table)
    op.rename_table(table, f"{table}_before")


def _make(table: str, sliced: bool) -> None:
    options = _PARTITIONED if sliced else {}
    if table == "responses":
        _make_responses(options)
    elif table == "feedback_events":
        _make_feedback_events(sliced, options)
    else:
        _make_current_votes(options)


def _make_responses(options: dict[str, Any]) -> None:
    op.create_table(
        "responses",
        sa.Column("response_id", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("user_hash", TEXT, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("response_id", name=op.f("pk_responses")),
        **options,
    )


def _make_feedback_events(sliced: bool, options: dict[str, Any]) -> None:
    unique = ["feedback_id", "rater", "response_id"] if sliced else ["feedback_id", "rater"]
    op.create_table(
        "feedback_events",
        sa.Column("response_id", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger() if sliced else _SEQ, autoincrement=False, nullable=False),
        sa.Column("rater", TEXT, nullable=False),
        sa.Column("feedback_id", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(*(["response_id", "seq"] if sliced else ["seq"]), name=op.f("pk_feedback_events")),
        sa.UniqueConstraint(*unique, name=op.f(f"uq_feedback_events_{'_'.join(unique)}")),
        **options,
    )


def _make_current_votes(options: dict[str, Any]) -> None:
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
        **options,
    )


def _make_slices(table: str) -> None:
    """Make a slice for every 28 days of which there are answers; what has another sort of id goes into the rest."""
    op.execute(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT")
    time_ms = "('x' || left(response_id, 8) || substr(response_id, 10, 4))::bit(48)::bigint"
    of_time = "response_id ~ '^0[0-9a-f]{7}-[0-9a-f]{4}-7'"
    query = f"SELECT DISTINCT {time_ms} / {_SLICE_MS} FROM {table}_before WHERE {of_time} ORDER BY 1"
    for number in op.get_bind().scalars(sa.text(query)).all():
        start, end = (f"{edge * _SLICE_MS:012x}" for edge in (number, number + 1))
        bounds = f"FROM ('{start[:8]}-{start[8:]}') TO ('{end[:8]}-{end[8:]}')"
        op.execute(f"CREATE TABLE {table}_{start}_{end} PARTITION OF {table} FOR VALUES {bounds}")


def _copy(table: str) -> None:
    columns = ", ".join(column["name"] for column in sa.inspect(op.get_bind()).get_columns(table))
    op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_before")
    op.drop_table(f"{table}_before")
