"""API keys, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.errors import AlreadyExists, NotFound
from thumbwheel.records import ApiKey, AuditAction, Scope
from thumbwheel.store.api_keys import SqlApiKeys
from thumbwheel.store.sql import open_store

SHOP = ApiKey("00000000000b", "shop", (Scope.INFER, Scope.FEEDBACK), "scrypt$1", 5, "ann", expires_us=9)
OPS = ApiKey("00000000000a", "ops", (Scope.ADMIN,), "scrypt$2", 6, "ann")


@pytest.fixture
def keys(url: str) -> Iterator[SqlApiKeys]:
    engine = connect(url)
    migrate(engine)
    with closing(SqlApiKeys(engine)) as table:
        yield table


def trail(url: str) -> list[tuple[AuditAction | str, str, str, str]]:
    with closing(open_store(url)) as store:
        return [(one.action, one.actor, one.subject, one.reason) for one in store.audit_trail("", 9)]


def test_keys_are_kept_whole_in_order_of_age_and_audited_without_their_secrets(keys: SqlApiKeys, url: str) -> None:
    keys.add(SHOP, "new shop")
    keys.add(OPS, "on call")
    assert keys.all() == [SHOP, OPS]
    assert trail(url) == [
        (AuditAction.KEY_CREATED, "ann", "ops (00000000000a) for admin", "on call"),
        (AuditAction.KEY_CREATED, "ann", "shop (00000000000b) for infer, feedback", "new shop"),
    ]


def test_a_revoked_key_stays_so_and_its_name_is_free_again(keys: SqlApiKeys, url: str) -> None:
    keys.add(SHOP, "new shop")
    with pytest.raises(AlreadyExists, match="there is an API key 'shop'; choose another name, or revoke it"):
        keys.add(replace(SHOP, key_id="00000000000c"), "again")
    assert keys.revoke("shop", 7, "bob", "lost") == SHOP
    assert keys.revoke(SHOP.key_id, 8, "bob", "lost twice") == replace(SHOP, revoked_us=7)
    keys.add(successor := replace(SHOP, key_id="00000000000c", created_us=8), "again")
    assert keys.all() == [replace(SHOP, revoked_us=7), successor]
    keys.revoke("shop", 9, "bob", "lost again")  # of namesakes the one that is good
    assert [one.revoked_us for one in keys.all()] == [7, 9]
    revoked = [entry for entry in trail(url) if entry[0] is AuditAction.KEY_REVOKED]
    assert revoked == [
        (AuditAction.KEY_REVOKED, "bob", "shop (00000000000c)", "lost again"),
        (AuditAction.KEY_REVOKED, "bob", "shop (00000000000b)", "lost"),
    ]
    with pytest.raises(NotFound, match="there is no API key 'stop'; `thumbwheel keys list`"):
        keys.revoke("stop", 9, "bob", "x")


def test_the_last_use_only_moves_forward(keys: SqlApiKeys) -> None:
    keys.add(SHOP, "new shop")
    keys.used({SHOP.key_id: 20, "no such key": 21})
    keys.used({SHOP.key_id: 10})
    assert [one.last_used_us for one in keys.all()] == [20]
