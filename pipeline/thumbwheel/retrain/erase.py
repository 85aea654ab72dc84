"""Taking a user out of the folders of all runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from thumbwheel.dataset import snapshot as snapshots
from thumbwheel.dataset.erase import contains, redact
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.registry.artifacts.reports import KeptReports
from thumbwheel.retrain.judge_folder import remove_left
from thumbwheel.retrain.plan import load_plan
from thumbwheel.retrain.report.data import ReportData
from thumbwheel.retrain.run_folder import RunFolder, verdict_from_json
from thumbwheel.store.port import FeedbackStore

_BATCH = 1_000
_ERASED = "A user of this run's votes was erased since; samples and curves were removed with it."


def runs_with(runs_dir: Path, user_hash: str) -> list[str]:
    """The ids of the runs whose snapshot has answers to a user or its votes, by name."""
    return [folder.path.name for folder in _frozen(runs_dir) if contains(Snapshot(folder.snapshot), user_hash)]


def erase_from_runs(runs_dir: Path, user_hash: str, kept: KeptReports | None = None) -> list[str]:
    """Remove a user from the snapshots of all runs, and the samples of their reports; return those runs' ids.

    `kept` are copies of the reports, which lose their samples, too.

    A run under way whose snapshot had the user ends as failed the next time it tells how far it is: its inputs are no
    more. What a killed freeze left is removed whole. May be killed and called again.
    """
    remove_left(runs_dir)
    for folder in folders(runs_dir):
        if not snapshots.exists(folder.snapshot):
            snapshots.remove_rows(folder.snapshot)
    concerned = runs_with(runs_dir, user_hash)
    for run_id in concerned:
        folder = RunFolder(runs_dir / run_id)
        if folder.report.exists():
            report_without_samples(folder, _ERASED)
            if kept is not None:
                kept.keep(run_id, folder.report)
        redact(Snapshot(folder.snapshot), user_hash)
    return concerned


def follow_erasures(runs_dir: Path, store: FeedbackStore, kept: KeptReports | None = None) -> list[str]:
    """Remove from the runs of this home every user that was erased elsewhere; return the runs' ids.

    The store tells who: an answer that a snapshot has and the store has not any more was erased with its user.
    """
    remove_left(runs_dir)
    users = {user for folder in _frozen(runs_dir) for user in _erased_users(Snapshot(folder.snapshot), store)}
    return sorted({run_id for user in users for run_id in erase_from_runs(runs_dir, user, kept)})


def _erased_users(snapshot: Snapshot, store: FeedbackStore) -> set[str]:
    users, rows = set[str](), snapshot.rows()
    while batch := [row.response for row in islice(rows, _BATCH)]:
        gone = store.erased_answers([one.response_id for one in batch])
        users |= {one.user_hash for one in batch if one.response_id in gone}
    return users - {""}


def report_without_samples(folder: RunFolder, warning: str) -> None:
    """Write a run's report again with what quotes nobody, its verdict and gates, and a `warning` that says why."""
    from thumbwheel.retrain.report.write import write_report  # draws plots: slow to import

    plan = load_plan(folder.path)
    shown = ReportData(
        policy=plan.policy,
        kind=plan.kind,
        run_id=plan.run_id,
        champion=plan.parent,
        candidate="candidate",
        verdict=verdict_from_json(folder.verdict.read_text(encoding="utf-8")),
        started_us=plan.started_us,
        seeds={"run": plan.seed},
        warnings=[warning],
    )
    write_report(folder.report, shown)


def _frozen(runs_dir: Path) -> Iterator[RunFolder]:
    return (folder for folder in folders(runs_dir) if snapshots.exists(folder.snapshot))


def folders(runs_dir: Path) -> Iterator[RunFolder]:
    """The folders of all runs, by name."""
    if runs_dir.is_dir():
        yield from (RunFolder(path) for path in sorted(runs_dir.iterdir()) if path.is_dir())
