"""Where `thumbwheel judge` works: a folder among those of the runs, since erasing and retention look there.

It goes with the block. What a process left that was killed is removed by whoever looks next: the next `judge`, erasing,
retention, and every process that trains, at its start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from thumbwheel.errors import RunInProgress
from thumbwheel.retrain.lock import locked
from thumbwheel.retrain.run_folder import RunFolder

_PREFIX: Final = ".judge-"  # no run's id begins with a dot


@contextmanager
def judge_folder(runs_dir: Path) -> Iterator[RunFolder]:
    """A new folder in `runs_dir` while the block lasts, locked by this process."""
    runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_left(runs_dir)
    with TemporaryDirectory(dir=runs_dir, prefix=_PREFIX) as place:
        folder = RunFolder(Path(place))
        with locked(folder.lock):
            yield folder


def remove_left(runs_dir: Path) -> None:
    """Remove the folders of processes that are gone. May be killed and called again."""
    for place in runs_dir.glob(f"{_PREFIX}*"):
        # One without a lock is empty: its process is about to take it.
        if (lock := RunFolder(place).lock).exists():
            with suppress(RunInProgress, FileNotFoundError), locked(lock):
                _remove(place, lock)


def _remove(place: Path, lock: Path) -> None:
    """The lock last, since without it the rest would not be found again."""
    for path in place.iterdir():
        if path != lock:
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
    shutil.rmtree(place)
