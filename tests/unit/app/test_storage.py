"""What a process keeps things in: opened once, and let go of wholly."""

from __future__ import annotations

from pathlib import Path

import psutil

from thumbwheel.app.storage import open_storage
from thumbwheel.config.settings import Settings


def open_in(home: Path) -> set[str]:
    """The files of a home that this process holds open."""
    return {Path(file.path).name for file in psutil.Process().open_files() if Path(file.path).is_relative_to(home)}


def test_nothing_stays_open(tmp_path: Path) -> None:
    with open_storage(Settings(home=tmp_path), lambda write: None) as storage:
        assert storage.registry.policies() == [] and storage.store.watermark() == 0
        assert {"store.sqlite", "log.sqlite"} <= open_in(tmp_path)
    assert open_in(tmp_path) == set()
