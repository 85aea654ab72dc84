"""API keys: who may call what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from thumbwheel.database.migrations.types import TEXT

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
lost = 'all API keys: with `auth.mode = "keys"` nobody is admitted until new ones are made and given out'


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "api_keys",
        *(sa.Column(name, TEXT, nullable=False) for name in ("key_id", "name", "scopes", "verifier", "created_by")),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("created_us", "expires_us", "revoked_us", "last_used_us")
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("api_keys")
