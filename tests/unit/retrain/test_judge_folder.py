"""Of judging a version nothing stays, also where the process was killed: its folder has texts of users."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from thumbwheel.app.learning import RunCopies
from thumbwheel.retrain.erase import follow_erasures
from thumbwheel.retrain.forget import forget_from_runs
from thumbwheel.retrain.judge_folder import judge_folder, remove_left
from thumbwheel.store.port import FeedbackStore

_JUDGING = """
import sys, time
from pathlib import Path
from thumbwheel.retrain.judge_folder import judge_folder
with judge_folder(Path(sys.argv[1])) as folder:
    folder.snapshot.mkdir()
    (folder.snapshot / "rows.jsonl").write_text("the text of u7")
    (folder.snapshot / "manifest.json").write_text("{}")
    (folder.path / "candidate").symlink_to(sys.argv[2], target_is_directory=True)
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """Runs among which is the folder of a process that was killed; it could not be removed before."""
    runs_dir, version = tmp_path / "home" / "runs", tmp_path / "version"
    version.mkdir()
    (version / "config.json").write_text("of the registry")
    command = [sys.executable, "-c", _JUDGING, str(runs_dir), str(version)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as judging:
        assert judging.stdout is not None and judging.stdout.readline() == "at work\n"
        remove_left(runs_dir)
        [place] = runs_dir.iterdir()
        assert (place / "snapshot" / "rows.jsonl").exists()
        judging.kill()
    return runs_dir


def _erase(runs_dir: Path) -> Any:
    RunCopies(runs_dir).erase_user("u7")


def _follow(runs_dir: Path) -> Any:
    follow_erasures(runs_dir, cast(FeedbackStore, None))


def _forget(runs_dir: Path) -> Any:
    forget_from_runs(runs_dir, "")


def _judge(runs_dir: Path) -> Any:
    with judge_folder(runs_dir) as folder:
        assert [path.name for path in runs_dir.iterdir()] == [folder.path.name]


@pytest.mark.parametrize("look", [_erase, _follow, _forget, _judge])
def test_what_a_killed_judge_left_goes_with_whoever_looks_next(left: Path, look: Callable[[Path], Any]) -> None:
    look(left)
    assert list(left.iterdir()) == []
    assert (left.parent.parent / "version" / "config.json").read_text() == "of the registry"
