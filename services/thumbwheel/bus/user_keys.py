"""The port of the table of users' keys: what the topic of keys says, where it can be looked up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from thumbwheel.records import WrappedKey


class KeyTable(Protocol):
    """Keys by id and by user. Calls block, from any thread; they raise Unavailable."""

    def position(self, log_id: str = "") -> int:
        """Return the offset in the topic up to which the table has read it; 0 when that was another than `log_id`."""

    def advance(
        self,
        position: int,
        following: int,
        new: Sequence[WrappedKey],
        gone: Collection[str],
        log_id: str = "",
        past: Collection[str] = (),
    ) -> set[str]:
        """Take in what the topic has from `position` to before `following`; return whose keys are `gone` by that.

        `gone` and `past` are ids, removed alike; one that is also among `new` was new first. Raises Fenced when the
        table stands elsewhere.
        """

    def find(self, key_ids: Collection[str]) -> Mapping[str, bytes]:
        """Return those of the keys that are there, wrapped, by id."""

    def ids_of(self, user_hash: str) -> list[str]:
        """Return the ids of a user's keys, in order."""
