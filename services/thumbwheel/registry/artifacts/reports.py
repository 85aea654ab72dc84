"""Reports of runs beside the versions, for those who do not have the run's folder: pages in another process.

Only where versions are kept outside of the home. A report is there before the row in the database that says so, and is
written again, without its samples, when a user of its votes is erased.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from thumbwheel.config.settings import Settings
from thumbwheel.errors import DamagedArtifact
from thumbwheel.registry.artifacts.opening import open_store

if TYPE_CHECKING:
    from thumbwheel.registry.artifacts.remote import RemoteStore

_FOLDER = ".reports"  # no policy can have this name


class KeptReports:
    """Reports in the store of `artifacts.url`. Safe from any thread."""

    def __init__(self, store: RemoteStore) -> None:
        """Keep them in `store`."""
        self._store = store

    def keep(self, run_id: str, report: Path) -> None:
        """Store a run's report, in place of an earlier one. Raises Unavailable."""
        self._store.write(_name(run_id), iter([report.read_bytes()]))

    def read(self, run_id: str) -> bytes | None:
        """Return a run's report, None where there is none. Raises Unavailable."""
        try:
            return b"".join(self._store.read(_name(run_id)))
        except DamagedArtifact:
            return None

    def place(self, run_id: str) -> str:
        """Return where a run's report is, for people."""
        return f"{self._store.url}/{_name(run_id)}"


def open_reports(settings: Settings) -> KeptReports | None:
    """Open the reports kept outside of homes; None where versions are in the home, too. Raises InvalidConfig."""
    return KeptReports(open_store(settings.artifacts)) if settings.artifacts.url else None


def _name(run_id: str) -> str:
    return f"{_FOLDER}/{run_id}.html"
