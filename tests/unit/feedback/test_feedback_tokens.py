"""Tokens and pseudonyms: whoever did not receive an answer can't rate it."""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbwheel.errors import InvalidInput, TokenMissing, TokenRefused
from thumbwheel.feedback.keys import Keys, TokenKey
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenClaims, TokenSigner

NOW_US = 1_700_000_000_000_000
OLD = TokenKey("00000001", b"1" * 32, 0)
NEW = TokenKey("00000002", b"2" * 32, 1)
SIGNER = TokenSigner(Keys((OLD,), b"u" * 32), ttl_s=60)
TOKEN = SIGNER.sign("r1", "q1", "alice", "desk", "v3", NOW_US)


def test_a_token_says_which_version_made_the_answer() -> None:
    claims = SIGNER.verify(TOKEN, "r1", "alice", NOW_US)
    assert claims == TokenClaims("desk", "v3", NOW_US + 60_000_000, "00000001", sha256(b"q1").hexdigest()[:16])


def test_the_mac_is_hmac_sha256_over_all_that_is_bound() -> None:
    data = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    head = b"\x02" + b"\0\0\0\x01" + (1_700_000_060).to_bytes(8, "big") + sha256(b"q1").digest()[:8]
    body = head + b"\x04desk" + b"\x02v3"
    sized = b"".join(len(part).to_bytes(4, "big") + part for part in (body, b"r1", b"alice"))
    mac = hmac.new(b"1" * 32, b"thumbwheel feedback token\0" + sized, sha256).digest()[:16]
    assert data == body + mac


@pytest.mark.parametrize(
    ("response_id", "rater"), [("r2", "alice"), ("r1", "bob"), ("r1a", "lice"), ("", "r1alice"), ("r1", "")]
)
def test_a_token_of_another_answer_or_user_is_refused(response_id: str, rater: str) -> None:
    with pytest.raises(TokenRefused, match="does not belong to this answer and user"):
        SIGNER.verify(TOKEN, response_id, rater, NOW_US)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="utf-8"))
def test_no_changed_character_is_accepted(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(TokenRefused, match="does not belong"):
            SIGNER.verify(changed, "r1", "alice", NOW_US)


@given(st.text(max_size=900).filter(lambda text: text != TOKEN))
def test_no_other_text_is_accepted(text: str) -> None:
    with pytest.raises((TokenRefused, TokenMissing)):
        SIGNER.verify(text, "r1", "alice", NOW_US)


@pytest.mark.parametrize(
    "spelling", [TOKEN + "=", TOKEN + "==", " " + TOKEN, TOKEN + "\n", TOKEN[:10] + "!" + TOKEN[10:]]
)
def test_a_token_has_one_spelling(spelling: str) -> None:
    with pytest.raises(TokenRefused):
        SIGNER.verify(spelling, "r1", "alice", NOW_US)


def test_tokens_of_one_request_have_it_in_common_and_no_others() -> None:
    def request(response_id: str, request_id: str, user: str = "alice") -> str:
        token = SIGNER.sign(response_id, request_id, user, "desk", "v3", NOW_US)
        return SIGNER.verify(token, response_id, user, NOW_US).request

    assert request("r1", "q1") == request("r2", "q1") == request("r3", "q1", "bob") != request("r2", "q2")


def test_a_token_of_an_unknown_key_is_refused() -> None:
    with pytest.raises(TokenRefused, match="does not belong"):
        TokenSigner(Keys((NEW,), b"u" * 32), 60).verify(TOKEN, "r1", "alice", NOW_US)


def test_a_token_expires_and_only_the_genuine_one_is_told_so() -> None:
    last_us = NOW_US + 60_000_000
    assert SIGNER.verify(TOKEN, "r1", "alice", last_us - 1).policy == "desk"
    with pytest.raises(TokenRefused, match="expired; the time for rating this answer is over"):
        SIGNER.verify(TOKEN, "r1", "alice", last_us)
    with pytest.raises(TokenRefused, match="does not belong"):
        SIGNER.verify(TOKEN, "r1", "bob", last_us)


def test_a_missing_token_is_told_apart() -> None:
    with pytest.raises(TokenMissing, match="feedback_token: is missing; send the token that came with the answer"):
        SIGNER.verify("", "r1", "alice", NOW_US)


def test_old_keys_verify_and_the_new_one_signs() -> None:
    rotated = TokenSigner(Keys((OLD, NEW), b"u" * 32), 60)
    assert rotated.verify(TOKEN, "r1", "alice", NOW_US).key_id == "00000001"
    assert (
        rotated.verify(rotated.sign("r1", "q1", "alice", "desk", "v4", NOW_US), "r1", "alice", NOW_US).key_id
        == "00000002"
    )


def test_a_name_too_long_for_a_token_is_refused() -> None:
    assert SIGNER.verify(SIGNER.sign("r", "q", "a", "p" * 255, "v" * 255, 0), "r", "a", 0).policy == "p" * 255
    with pytest.raises(InvalidInput, match="policy: at most 255 bytes, got 256"):
        SIGNER.sign("r", "q", "a", "p" * 256, "v", 0)


def test_a_token_does_not_tell_who_asked() -> None:
    data = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    assert b"alice" not in data and len(TOKEN) <= 60


def test_pseudonyms_are_stable_keyed_and_keep_users_apart() -> None:
    raters = Raters(b"u" * 32)
    expected = hmac.new(b"u" * 32, b"thumbwheel user\0alice", sha256).hexdigest()[:32]
    assert raters.user_hash("alice") == raters.rater("alice", "r1") == raters.rater("alice", "r2") == "u" + expected
    assert raters.user_hash("bob") != raters.user_hash("alice")
    assert Raters(b"v" * 32).user_hash("alice") != raters.user_hash("alice")


def test_an_anonymous_rater_is_bound_to_the_answer() -> None:
    raters = Raters(b"u" * 32)
    assert raters.user_hash("") == ""
    assert raters.rater("", "r1") == raters.rater("", "r1") != raters.rater("", "r2")
    assert raters.rater("", "r1") not in (raters.rater("r1", "r1"), "")
    assert repr(b"u" * 32) not in repr(raters)
