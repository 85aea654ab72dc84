"""The audit trail of what is no move of a channel: runs started, users erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
lost = "the audit trail: who started runs and erased users, and why"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_policy_id"), "audit", ["policy", "id"], unique=False)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("audit")
