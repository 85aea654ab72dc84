"""The audit trail of what is no move of a channel; moves have their own, beside the pointers."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from thumbwheel.database.schema import audit as table
from thumbwheel.records import AuditAction, AuditEntry

_COLUMNS = ("time_us", "policy", "subject", "actor", "reason")


def add(connection: Connection, entry: AuditEntry) -> None:
    """Keep an entry."""
    row = {name: getattr(entry, name) for name in _COLUMNS}
    connection.execute(insert(table).values(row | {"action": str(entry.action)}))


def newest(connection: Connection, policy: str, limit: int) -> list[AuditEntry]:
    """Return the entries of a policy and of none (empty: all entries), newest first."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if policy:
        query = query.where(table.c.policy.in_(("", policy)))
    rows = connection.execute(query).mappings()
    return [
        AuditEntry(action=AuditAction.told(row["action"]), **{name: row[name] for name in _COLUMNS}) for row in rows
    ]
