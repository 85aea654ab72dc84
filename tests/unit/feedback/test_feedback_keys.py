"""The key file: made once, private, and refused when it is not."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from thumbwheel.errors import InvalidConfig
from thumbwheel.feedback.keys import Keys, load_keys, load_or_make_keys, rotate_token_key

DAY_US = 86_400_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys.json"


def test_the_first_start_makes_a_private_file_and_the_next_reads_it(path: Path) -> None:
    old_mask = os.umask(0)
    try:
        made = load_or_make_keys(path, now_us=5)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]
    assert load_or_make_keys(path, now_us=6) == made
    assert (len(made.active.secret), len(made.user_key), made.active.created_us) == (32, 32, 5)


def test_starters_at_the_same_time_share_one_set_of_keys(path: Path) -> None:
    ready = threading.Barrier(8)
    found: list[Keys] = []

    def start() -> None:
        ready.wait()
        found.append(load_or_make_keys(path, now_us=1))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len({keys.active.key_id for keys in found}) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o666])
def test_a_file_that_others_may_read_is_refused_with_the_cure(path: Path, mode: int) -> None:
    load_or_make_keys(path, now_us=1)
    path.chmod(mode)
    with pytest.raises(InvalidConfig, match=f"mode {mode:o}.*run: chmod 600 {path}"):
        load_or_make_keys(path, now_us=1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"token_keys": [], "user_key": "' + "A" * 44 + '"}',
        '{"token_keys": [], "user_key": "AAAA"}',
        '{"token_keys": [{"id": "xx", "secret": "", "created_us": 1}], "user_key": ""}',
    ],
)
def test_a_damaged_file_is_refused(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InvalidConfig, match="restore it from a backup"):
        load_keys(path)


def test_an_absent_file_is_named(path: Path) -> None:
    with pytest.raises(InvalidConfig, match="keys.json: there is no key file; .*`thumbwheel keys create`"):
        load_keys(path)


def test_a_full_disk_is_told_and_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(InvalidConfig, match=r"can't be written \(No space left on device\); free some space"):
            load_or_make_keys(path, now_us=1)
        assert list(path.parent.iterdir()) == []
    keys = load_or_make_keys(path, now_us=1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(InvalidConfig, match="can't be written"):
            rotate_token_key(path, now_us=2, ttl_s=60)
    assert load_keys(path) == keys and len(list(path.parent.iterdir())) == 1


def test_a_home_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfig, match="the key file can't be written"):
        load_or_make_keys(tmp_path / "file" / "home" / "keys.json", now_us=1)


def test_rotation_adds_an_active_key_and_drops_those_without_unexpired_tokens(path: Path) -> None:
    first = load_or_make_keys(path, now_us=0)
    second = rotate_token_key(path, now_us=1 * DAY_US, ttl_s=86_400)
    assert second.token_keys[0] == first.active and len(second.token_keys) == 2
    third = rotate_token_key(path, now_us=3 * DAY_US, ttl_s=86_400)
    assert [key.created_us for key in third.token_keys] == [1 * DAY_US, 3 * DAY_US]
    assert load_keys(path) == third
    assert third.user_key == first.user_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_secrets_are_in_the_file_and_not_in_the_representation(path: Path) -> None:
    keys = load_or_make_keys(path, now_us=1)
    assert repr(keys.active.secret) not in repr(keys) and repr(keys.user_key) not in repr(keys)
    assert json.loads(path.read_text())["token_keys"][0]["id"] == keys.active.key_id
