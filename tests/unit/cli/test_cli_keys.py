"""`thumbwheel keys`."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

from click.testing import CliRunner, Result

from thumbwheel.cli.main import group
from thumbwheel.errors import InvalidInput, NotFound
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


def keys(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["--home", str(home), "keys", *arguments])


def succeed(home: Path, *arguments: str) -> str:
    result = keys(home, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_api_key_is_shown_once_listed_without_its_secret_and_revoked(tmp_path: Path) -> None:
    shown = succeed(tmp_path, "create", "shop", "--scope", "feedback", "--scope", "infer", "--days", "90").strip()
    assert re.fullmatch(r"tw_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", shown)
    _, key_id, _ = shown.split("_", 2)
    [row] = json.loads(succeed(tmp_path, "list", "--json"))
    found = {name: row[name] for name in ("name", "id", "scopes", "state", "last used")}
    assert found == {"name": "shop", "id": key_id, "scopes": "infer, feedback", "state": "good", "last used": "never"}
    ends = dt.datetime.fromisoformat(row["expires"]) - dt.datetime.fromisoformat(row["made"])
    assert ends == dt.timedelta(days=90)
    assert shown[-43:].encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert succeed(tmp_path, "revoke", "shop", "--reason", "lost") == f"shop ({key_id}) is revoked\n"
    assert "nothing was changed" in succeed(tmp_path, "revoke", key_id, "--reason", "lost")
    assert json.loads(succeed(tmp_path, "list", "--json"))[0]["state"] == "revoked"


def test_what_an_api_key_needs_is_said_and_without_a_name_the_key_file_is_made(tmp_path: Path) -> None:
    for arguments, said in (
        (["create", "shop"], "say what the key is good for: --scope infer"),
        (["create", "--scope", "infer"], "name the API key: thumbwheel keys create NAME"),
    ):
        refused = keys(tmp_path, *arguments)
        assert (refused.exit_code, said in refused.output) == (2, True)
    wrong_name, unknown = ("create", "a b", "--scope", "infer"), ("revoke", "shop", "--reason", "x")
    assert isinstance(keys(tmp_path, *wrong_name).exception, InvalidInput)
    assert isinstance(keys(tmp_path, *unknown).exception, NotFound)
    assert "keys.json made; keep a copy" in succeed(tmp_path, "create")
    assert load_keys(tmp_path / "keys.json").token_keys
