"""Trials of versions among users, and the thresholds of the gates as they changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
lost = "trials of versions among users, and the thresholds that gates were last seen with"

_COUNTS = ("started_us", "ended_us", "start_seq", "cursor", "revision", "up", "down", "control_up", "control_down")


def _row_id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "trials",
        _row_id(),
        *(sa.Column(name, TEXT, nullable=False) for name in ("policy", "kind", "state", "version", "control")),
        sa.Column("share_ppm", sa.Integer(), nullable=False),
        sa.Column("salt", TEXT, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("sentence", TEXT, nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_trials_policy_id"), "trials", ["policy", "id"])
    op.create_index(op.f("ix_trials_state"), "trials", ["state"])
    _make_voices()
    _make_serving()
    op.create_table(
        "gate_limits",
        _row_id(),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("limits", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_limits")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drop the tables. A canary that is on loses its share of the users at once: its channel is cleared."""
    op.execute("DELETE FROM channels WHERE channel IN ('canary', 'shadow')")
    op.execute("UPDATE registry_generation SET value = value + 1")
    for table in ("gate_limits", "trial_serving", "trial_voices", "trials"):
        op.drop_table(table)


def _make_voices() -> None:
    op.create_table(
        "trial_voices",
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("rater", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "version", "rater", name=op.f("pk_trial_voices")),
    )
    op.create_index(op.f("ix_trial_voices_rater"), "trial_voices", ["rater"])


def _make_serving() -> None:
    op.create_table(
        "trial_serving",
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("process", TEXT, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("latencies", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "version", "process", name=op.f("pk_trial_serving")),
    )
