"""Which topic an offset was read in: one that is made anew under the same name begins at 0."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
lost = "which topics of Kafka were read: of one that was deleted and made anew the first records would be passed over"


def upgrade() -> None:
    """Add the column. Which topics were read so far nobody knows."""
    op.add_column("consumer_offsets", sa.Column("log_id", TEXT, nullable=False, server_default=""))
    with op.batch_alter_table("consumer_offsets") as table:
        table.alter_column("log_id", existing_type=TEXT, existing_nullable=False, server_default=None)


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("consumer_offsets") as table:
        table.drop_column("log_id")
