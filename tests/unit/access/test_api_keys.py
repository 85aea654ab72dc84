"""API keys: their form, and what is kept of them."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from thumbwheel.access.api_keys import new_key, presented, read_name, verifier_of, verifies
from thumbwheel.errors import InvalidInput, KeyRefused


def test_what_is_kept_is_scrypt_of_the_secret_as_another_implementation_computes_it() -> None:
    shown, key_id, verifier = new_key()
    given = presented(f"Bearer {shown}")
    assert given.key_id == key_id and given.secret not in verifier and given.secret not in repr(given)
    kind, n, r, p, salt, kept = verifier.split("$")
    assert (kind, n, r, p, len(base64.b64decode(salt))) == ("scrypt", "16384", "8", "1", 16)
    other = Scrypt(base64.b64decode(salt), 32, n=1 << 14, r=8, p=1).derive(given.secret.encode())
    assert other == base64.b64decode(kept)


def test_a_secret_verifies_and_no_other_does() -> None:
    one, other = (presented(f"Bearer {new_key()[0]}").secret for _ in range(2))
    kept = verifier_of(one)
    assert (verifies(one, kept), verifies(other, kept), verifies(one[:-1], kept)) == (True, False, False)
    assert kept != verifier_of(one)  # another salt


@pytest.mark.parametrize(
    "header",
    [
        "Bearer ", "Bearer x", "tw_1f0c9a77b2e4_" + "a" * 43, "Basic tw_1f0c9a77b2e4_" + "a" * 43,
        "Bearer tw_1f0c9a77b2e4_" + "a" * 42, "Bearer tw_1F0C9A77B2E4_" + "a" * 43, "Bearer \x00", "Bearer " + "a" * 99,
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_by_the_same_words_as_a_wrong_one(header: str) -> None:
    with pytest.raises(KeyRefused, match=r"^authorization: the API key is not good: unknown, mistyped, expired or"):
        presented(header)


@pytest.mark.parametrize("header", [None, ""])
def test_no_key_at_all_is_said_with_how_to_send_one(header: str | None) -> None:
    with pytest.raises(KeyRefused, match=r"^authorization: .* without an API key; send it as `authorization: B"):
        presented(header)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\n", "a" * 41, "ä"])
def test_a_name_that_would_muddle_an_audit_trail_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="must be 1 to 40 letters"):
        read_name(name)
    assert read_name("shop-2.eu") == "shop-2.eu"
