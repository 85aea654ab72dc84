"""Retention of what runs copied: a snapshot goes whole as soon as one of its answers is past."""

from __future__ import annotations

from pathlib import Path

from thumbwheel.dataset import snapshot as snapshots
from thumbwheel.dataset.snapshot import first_response_id, remove
from thumbwheel.errors import RunInProgress
from thumbwheel.registry.artifacts.reports import KeptReports
from thumbwheel.retrain.erase import folders, report_without_samples
from thumbwheel.retrain.judge_folder import remove_left
from thumbwheel.retrain.lock import locked
from thumbwheel.retrain.run_folder import RunFolder

_WARNING = "Answers of this run are older than what is kept; samples and curves were removed with them."


def forget_from_runs(runs_dir: Path, before_id: str, kept: KeptReports | None = None) -> list[str]:
    """Remove the snapshots that have an answer whose id is below `before_id`, and the samples of their reports.

    `kept` are copies of the reports, which lose their samples, too.

    What is left of a snapshot without its oldest answers would be no input that gives the same verdict again, so
    nothing is left. A run at work is passed over: its turn comes when it has ended. One that was interrupted and
    begins again after this ends as failed. `kept` are copies of the reports, which lose their samples, too. Returns the
    runs' ids; may be killed and called again.
    """
    remove_left(runs_dir)
    forgotten = []
    for folder in folders(runs_dir):
        try:
            with locked(folder.lock):
                if _forget(folder, before_id, kept):
                    forgotten.append(folder.path.name)
        except RunInProgress:
            continue
    return forgotten


def _forget(folder: RunFolder, before_id: str, kept: KeptReports | None) -> bool:
    if not snapshots.exists(folder.snapshot):
        snapshots.remove_rows(folder.snapshot)  # left by a freeze, or by us, when killed
        return False
    if first_response_id(folder.snapshot) >= before_id:
        return False
    if folder.report.exists():
        report_without_samples(folder, _WARNING)
        if kept is not None:
            kept.keep(folder.path.name, folder.report)
    remove(folder.snapshot)
    return True
