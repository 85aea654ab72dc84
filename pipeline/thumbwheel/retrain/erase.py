"""Taking a user out of the folders of all runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from thumbwheel.dataset import snapshot as snapshots
from thumbwheel.dataset.erase import contains, redact
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.retrain.run_folder import RunFolder


def runs_with(runs_dir: Path, user_hash: str) -> list[str]:
    """The ids of the runs whose snapshot has answers to a user or its votes, by name."""
    return [folder.path.name for folder in _frozen(runs_dir) if contains(Snapshot(folder.snapshot), user_hash)]


def erase_from_runs(runs_dir: Path, user_hash: str) -> list[str]:
    """Remove a user from the snapshots of all runs, and the reports that may quote it; return those runs' ids.

    A run under way whose snapshot had the user ends as failed at its next step: its inputs are no more. What a
    killed freeze left is removed whole. May be killed and called again.
    """
    for folder in _folders(runs_dir):
        if not snapshots.exists(folder.snapshot):
            snapshots.remove_rows(folder.snapshot)
    concerned = runs_with(runs_dir, user_hash)
    for run_id in concerned:
        folder = RunFolder(runs_dir / run_id)
        folder.report.unlink(missing_ok=True)
        redact(Snapshot(folder.snapshot), user_hash)
    return concerned


def _frozen(runs_dir: Path) -> Iterator[RunFolder]:
    return (folder for folder in _folders(runs_dir) if snapshots.exists(folder.snapshot))


def _folders(runs_dir: Path) -> Iterator[RunFolder]:
    if runs_dir.is_dir():
        yield from (RunFolder(path) for path in sorted(runs_dir.iterdir()) if path.is_dir())
