"""A file is whole or not there; its folder is flushed after the rename."""

import os
from pathlib import Path

import pytest

from thumbwheel.durable import PARTIAL_SUFFIX, whole, write_whole


def test_the_new_text_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_whole(path, "old")
    write_whole(path, "ä\nnew\n")
    assert path.read_bytes() == "ä\nnew\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_whole(path, "old")
    with pytest.raises(KeyError), whole(path) as partial:
        partial.write_text("half")
        raise KeyError("a row")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]


def test_bytes_are_on_disk_before_the_rename_and_the_rename_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps, flush = tmp_path / "a", [], os.fsync

    def fsync(descriptor: int) -> None:
        flushed = Path(f"/proc/self/fd/{descriptor}").resolve()
        steps.append((flushed, path.exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(path, "text")
    assert steps == [(tmp_path / f"a{PARTIAL_SUFFIX}", False), (tmp_path, True)]


def test_what_a_killed_writer_left_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.with_name(f"a{PARTIAL_SUFFIX}").write_text("half of a much longer text")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
