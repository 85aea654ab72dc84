"""Checkpoints that runs on several workers left beside the versions: removed once nobody can go on from them.

A step that is done clears its own (`on_ray.py`). One that failed leaves it, for the run may go on; when the run has
ended for good nobody reads it again. Whoever ends a run looks through all that lie there, so that what could not be
removed at the time, as with the store away, goes with the next one. Of runs that this database does not know, such as
another service's, only what nobody has written for a day goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from thumbwheel.config.settings import Artifacts
from thumbwheel.errors import ThumbwheelError
from thumbwheel.records import Run
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.remote import RemoteStore
from thumbwheel.retrain.checkpoint_place import RUNS_FOLDER
from thumbwheel.telemetry.logging import get_logger

_UNKNOWN_AFTER_S = 86_400.0

log = get_logger(__name__)

RunOf = Callable[[str], Run | None]
Clock = Callable[[], float]


def clear_left(artifacts: Artifacts, run_of: RunOf, clock: Clock = time.time) -> list[str]:
    """Remove what runs left that have ended; return their ids. A store that is away is said in the log, no more.

    `run_of` looks a run up, `clock` gives seconds since the epoch.
    """
    if not artifacts.url:
        return []  # in the run's folder, which goes with the run
    try:
        return _cleared(artifacts, open_store(artifacts), run_of, clock)
    except ThumbwheelError as error:
        log.warning("checkpoints of runs that ended are removed later", problem=str(error))
        return []


def _cleared(artifacts: Artifacts, store: RemoteStore, run_of: RunOf, clock: Clock) -> list[str]:
    cleared = []
    for run_id in sorted(store.folders(RUNS_FOLDER)):
        folder = f"{RUNS_FOLDER}/{run_id}"
        names = [f"{folder}/{name}" for name in store.sizes(folder)]
        if names and _is_over(run_of(run_id), store, names, clock):
            store.remove(names)
            _remove_empty(artifacts, folder)
            cleared.append(run_id)
    return cleared


def _is_over(run: Run | None, store: RemoteStore, names: list[str], clock: Clock) -> bool:
    if run is not None:
        return run.state.is_final
    return clock() - max(store.modified_s(name) for name in names) >= _UNKNOWN_AFTER_S


def _remove_empty(artifacts: Artifacts, folder: str) -> None:
    """On a shared volume, remove the folder too: other stores have none that are empty."""
    url = urlsplit(artifacts.url)
    if url.scheme == "file":
        with suppress(OSError):  # another process was faster, or put something in
            (Path(unquote(url.path)) / folder).rmdir()
