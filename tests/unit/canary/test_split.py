"""Who is drawn for a canary."""

from __future__ import annotations

import hashlib

import pytest

from thumbwheel.registry.trial import Split


def test_the_draw_worked_out_by_hand() -> None:
    draw = int(hashlib.sha256(b"salt u1").hexdigest()[:16], 16) / 2**64
    assert Split(1, "salt", int(draw * 1e6) + 1).is_drawn("u1")
    assert not Split(1, "salt", int(draw * 1e6)).is_drawn("u1")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_about_the_share_is_drawn_and_another_salt_draws_others(share: float) -> None:
    users = [f"u{number}" for number in range(20_000)]
    drawn = {user for user in users if Split(1, "a", round(share * 1e6)).is_drawn(user)}
    others = {user for user in users if Split(2, "b", round(share * 1e6)).is_drawn(user)}
    assert len(drawn) / 20_000 == pytest.approx(share, abs=0.012)
    assert len(drawn & others) / 20_000 == pytest.approx(share**2, abs=0.012)


def test_nobody_without_a_name_is_drawn() -> None:
    assert not Split(1, "salt", 1_000_000).is_drawn("")
    assert Split(1, "salt", 1_000_000).is_drawn("u1")
