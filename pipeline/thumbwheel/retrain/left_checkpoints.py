"""Checkpoints that runs on several workers left beside the versions: removed once nobody can go on from them.

A step that is done clears its own (`on_ray.py`). One that failed leaves it, for the run may go on; when the run has
ended for good nobody reads it again. Whoever ends a run looks through all that lie there, so that what could not be
removed at the time, as with the store away, goes with the next one. Of runs that this database does not know, such as
another service's, only what nobody has written for a day goes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from thumbwheel.config.settings import Artifacts
from thumbwheel.errors import ThumbwheelError, Unavailable
from thumbwheel.records import Run
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.remote import RemoteStore
from thumbwheel.retrain.checkpoint_place import RUNS_FOLDER
from thumbwheel.telemetry.logging import get_logger

_UNKNOWN_AFTER_S = 86_400.0
_RETRY_S = 5.0

log = get_logger(__name__)

RunOf = Callable[[str], Run | None]
Clock = Callable[[], float]


def clear_left(artifacts: Artifacts, run_of: RunOf, clock: Clock = time.time) -> list[str]:
    """Remove what runs left that have ended; return their ids. A store that is away is said in the log, no more.

    `run_of` looks a run up, `clock` gives seconds since the epoch.
    """
    url = urlsplit(artifacts.url)
    if not url.scheme:
        return []  # in the run's folder, which goes with the run
    try:
        shelf = _Volume(Path(unquote(url.path))) if url.scheme == "file" else _Remote(open_store(artifacts))
        return [run_id for run_id in sorted(shelf.runs()) if _cleared(run_id, run_of(run_id), shelf, clock)]
    except ThumbwheelError as error:
        log.warning("checkpoints of runs that ended are removed later", problem=str(error))
        return []


class _Shelf(Protocol):
    """Where checkpoints of runs lie."""

    def runs(self) -> list[str]:
        """Return whose there are."""

    def modified_s(self, run_id: str) -> float:
        """Return when a run's was written last, in seconds since the epoch."""

    def remove(self, run_id: str) -> None:
        """Remove a run's."""


class _Volume:
    """A folder that is shared."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / RUNS_FOLDER

    def runs(self) -> list[str]:
        return [path.name for path in self._folder.glob("*") if path.is_dir()]

    def modified_s(self, run_id: str) -> float:
        try:
            folder = self._folder / run_id
            return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError as error:
            raise _unseen(error) from error

    def remove(self, run_id: str) -> None:
        try:
            shutil.rmtree(self._folder / run_id)
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            raise _unseen(error) from error


class _Remote:
    """A store that has no folders of its own."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store

    def runs(self) -> list[str]:
        return self._store.folders(RUNS_FOLDER)

    def modified_s(self, run_id: str) -> float:
        return max((self._store.modified_s(name) for name in self._names(run_id)), default=time.time())

    def remove(self, run_id: str) -> None:
        self._store.remove(self._names(run_id))

    def _names(self, run_id: str) -> list[str]:
        folder = f"{RUNS_FOLDER}/{run_id}"
        return [f"{folder}/{name}" for name in self._store.sizes(folder)]


def _cleared(run_id: str, run: Run | None, shelf: _Shelf, clock: Clock) -> bool:
    over = run.state.is_final if run is not None else clock() - shelf.modified_s(run_id) >= _UNKNOWN_AFTER_S
    if over:
        shelf.remove(run_id)
    return over


def _unseen(error: OSError) -> Unavailable:
    return Unavailable(f"{error.filename}: {error.strerror}; mend its owner or mount", _RETRY_S)
