"""Payloads under users' keys, and these under the service's secret."""

from __future__ import annotations

import pytest

from thumbwheel.bus.sealing import OVERHEAD_BYTES, UserKey, Wrapping, new_key, seal, unseal
from thumbwheel.errors import PoisonRecord

PAYLOAD = b"what a user wrote"


def test_what_was_sealed_is_opened_with_its_key_at_its_place() -> None:
    key = new_key("u1")
    sealed = seal(PAYLOAD, key, "topic", "r1")
    assert unseal(sealed, key, "topic", "r1") == PAYLOAD
    assert PAYLOAD not in sealed
    assert len(sealed) - len(PAYLOAD) + len(key.key_id) < OVERHEAD_BYTES
    assert seal(PAYLOAD, key, "topic", "r1") != sealed


@pytest.mark.parametrize("change", ["key", "topic", "record", "byte", "short", "empty"])
def test_anything_else_is_refused(change: str) -> None:
    key = new_key("u1")
    sealed = seal(PAYLOAD, key, "topic", "r1")
    other = UserKey(key.key_id, key.user_hash, bytes(32)) if change == "key" else key
    if change == "byte":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    elif change in {"short", "empty"}:
        sealed = sealed[: 5 if change == "short" else 0]
    with pytest.raises(PoisonRecord, match="another key, or altered"):
        unseal(sealed, other, "else" if change == "topic" else "topic", "r2" if change == "record" else "r1")


def test_a_key_is_wrapped_with_whose_it_is() -> None:
    wrapping, key = Wrapping(bytes(range(32))), new_key("u1")
    wrapped = wrapping.wrap(key)
    assert wrapping.unwrap(key.key_id, wrapped) == key
    assert key.secret not in wrapped and b"u1" not in wrapped
    assert "secret" not in repr(key) and "secret" not in repr(wrapping)
    for other, key_id in ((Wrapping(bytes(32)), key.key_id), (wrapping, "another")):
        with pytest.raises(PoisonRecord):
            other.unwrap(key_id, wrapped)


def test_every_key_is_another() -> None:
    keys = [new_key("u1") for _ in range(3)]
    assert len({key.key_id for key in keys}) == len({key.secret for key in keys}) == 3
