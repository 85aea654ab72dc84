"""Column types of the migrations where databases differ."""

from __future__ import annotations

import sqlalchemy as sa

# Ordered by code points, as SQLite and Python do: by the database's language the same votes would be frozen in another
# order, and an upgrade of the system's collations would silently break the indexes.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
