"""The location of a version's files, which was POLICY/VERSION until there were stores without rename."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
lost = "the places of versions that `artifacts.url` keeps elsewhere than in POLICY/VERSION: they are not found any more"


def upgrade() -> None:
    """Add the column, and fill it for the versions that are there."""
    op.add_column("versions", sa.Column("location", TEXT, nullable=False, server_default=""))
    op.execute("UPDATE versions SET location = policy || '/' || version")
    with op.batch_alter_table("versions") as table:
        table.alter_column("location", existing_type=TEXT, existing_nullable=False, server_default=None)


def downgrade() -> None:
    """Drop the column. Versions elsewhere than in POLICY/VERSION are not found any more."""
    with op.batch_alter_table("versions") as table:
        table.drop_column("location")
