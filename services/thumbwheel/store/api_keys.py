"""API keys in the store's database, each change with its row in the audit trail, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine, insert, select, update

from thumbwheel.database.schema import api_keys as table
from thumbwheel.database.transactions import reading, writing
from thumbwheel.errors import AlreadyExists, NotFound
from thumbwheel.records import ApiKey, AuditAction, AuditEntry, Scope
from thumbwheel.store import audit


class SqlApiKeys:
    """The keys of a migrated database. Safe from any thread."""

    def __init__(self, engine: Engine) -> None:
        """Keep them there; `close` disposes of the engine."""
        self._engine = engine

    def all(self) -> list[ApiKey]:
        """Return every key, also those that were revoked, in order of age. Raises Unavailable."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(table).order_by(table.c.created_us, table.c.key_id)).mappings()
            return [_read(row) for row in rows]

    def add(self, key: ApiKey, reason: str) -> None:
        """Keep a new key. Raises AlreadyExists when one that is not revoked has its name, Unavailable."""
        scopes = ", ".join(key.scopes)
        with writing(self._engine) as connection:
            namesakes = select(table.c.key_id).where(table.c.name == key.name, table.c.revoked_us == 0)
            if connection.scalar(namesakes) is not None:
                raise AlreadyExists(
                    f"name: there is an API key {key.name!r}; choose another name, or revoke it: thumbwheel keys revoke"
                )
            connection.execute(insert(table).values(asdict(key) | {"scopes": ",".join(key.scopes)}))
            what = f"{key.name} ({key.key_id}) for {scopes}"
            audit.add(
                connection, AuditEntry(key.created_us, AuditAction.KEY_CREATED, key.created_by, reason, subject=what)
            )

    def revoke(self, name: str, now_us: int, actor: str, reason: str) -> ApiKey:
        """Revoke the key of a name or an id; of one that is revoked nothing is changed. Return it as it was.

        Raises NotFound, Unavailable.
        """
        with writing(self._engine) as connection:
            query = select(table).where((table.c.key_id == name) | (table.c.name == name))
            rows = connection.execute(query.order_by(table.c.revoked_us, table.c.created_us)).mappings().all()
            if not rows:
                raise NotFound(f"name: there is no API key {name!r}; `thumbwheel keys list` shows them all")
            key = _read(rows[0])
            if not key.revoked_us:
                mine = table.c.key_id == key.key_id
                connection.execute(update(table).where(mine).values(revoked_us=now_us))
                what = f"{key.name} ({key.key_id})"
                audit.add(connection, AuditEntry(now_us, AuditAction.KEY_REVOKED, actor, reason, subject=what))
            return key

    def used(self, times_us: Mapping[str, int]) -> None:
        """Note when keys, by id, were last used; an earlier time than is known changes nothing. Raises Unavailable."""
        with writing(self._engine) as connection:
            for key_id, time_us in times_us.items():
                mine = (table.c.key_id == key_id) & (table.c.last_used_us < time_us)
                connection.execute(update(table).where(mine).values(last_used_us=time_us))

    def close(self) -> None:
        """Release connections."""
        self._engine.dispose()


def _read(row: Mapping[Any, Any]) -> ApiKey:
    scopes = tuple(Scope(one) for one in row["scopes"].split(","))
    return ApiKey(**{**row, "scopes": scopes})
