"""The table of users' keys in the store's database; its place in the topic of keys moves with its rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Engine, delete, insert, select

from thumbwheel.database.lists import among
from thumbwheel.database.schema import user_keys as table
from thumbwheel.database.transactions import reading, writing
from thumbwheel.records import WrappedKey
from thumbwheel.store import offsets
from thumbwheel.store.port import Batch


class SqlUserKeys:
    """A log's `KeyTable` on a migrated database. Safe from any thread."""

    def __init__(self, engine: Engine, consumer: str, topic: str) -> None:
        """Keep the place in `topic` under the name `consumer`, one for each log; `close` disposes of the engine."""
        self._engine = engine
        self._consumer = consumer
        self._topic = topic

    def position(self, log_id: str = "") -> int:
        """Return the offset up to which the topic was read; 0 when that was another than `log_id`."""
        with reading(self._engine) as connection:
            return offsets.next_offset(connection, self._consumer, self._topic, 0, log_id)

    def advance(
        self,
        position: int,
        following: int,
        new: Sequence[WrappedKey],
        gone: Collection[str],
        log_id: str = "",
        past: Collection[str] = (),
    ) -> set[str]:
        """Take in what the topic has up to `following`; return whose keys are `gone` by that. Raises Fenced."""
        with writing(self._engine) as connection:
            offsets.advance(connection, Batch(self._consumer, self._topic, 0, position, following, log_id=log_id))
            there = set(connection.scalars(select(table.c.key_id).where(among(connection, table.c.key_id, _ids(new)))))
            fresh = {key.key_id: key for key in new if key.key_id not in there}
            if fresh:
                connection.execute(insert(table), [_row(key) for key in fresh.values()])
            removed = among(connection, table.c.key_id, gone)
            users = set(connection.scalars(select(table.c.user_hash).where(removed)))
            connection.execute(delete(table).where(removed))
            connection.execute(delete(table).where(among(connection, table.c.key_id, past)))
            return users

    def find(self, key_ids: Collection[str]) -> Mapping[str, bytes]:
        """Return those of the keys that are there, wrapped, by id."""
        with reading(self._engine) as connection:
            query = select(table.c.key_id, table.c.wrapped).where(among(connection, table.c.key_id, key_ids))
            return {row.key_id: row.wrapped for row in connection.execute(query)}

    def ids_of(self, user_hash: str) -> list[str]:
        """Return the ids of a user's keys, in order."""
        with reading(self._engine) as connection:
            query = select(table.c.key_id).where(table.c.user_hash == user_hash).order_by(table.c.key_id)
            return list(connection.scalars(query))

    def close(self) -> None:
        """Release connections."""
        self._engine.dispose()


def _ids(keys: Sequence[WrappedKey]) -> list[str]:
    return [key.key_id for key in keys]


def _row(key: WrappedKey) -> dict[str, object]:
    return {"key_id": key.key_id, "user_hash": key.user_hash, "wrapped": key.wrapped}
