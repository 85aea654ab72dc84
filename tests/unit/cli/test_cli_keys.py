"""`thumbwheel keys`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from thumbwheel.cli.main import group
from thumbwheel.feedback.keys import load_keys, load_or_make_keys
from thumbwheel.feedback.tokens import TokenSigner


def test_a_rotated_key_signs_and_the_earlier_one_verifies(tmp_path: Path) -> None:
    before = load_or_make_keys(tmp_path / "keys.json", now_us=1)
    token = TokenSigner(before, 3600).sign("r1", "q1", "alice", "desk", "v1", 1)
    result = CliRunner().invoke(group, ["--home", str(tmp_path), "keys", "rotate"], catch_exceptions=False)
    after = load_keys(tmp_path / "keys.json")
    assert (
        result.output
        == f"key {after.active.key_id} signs once the service is started again; earlier keys still verify\n"
    )
    assert after.active.key_id != before.active.key_id
    assert TokenSigner(after, 3600).verify(token, "r1", "alice", 1).key_id == before.active.key_id
