"""The figures of a step as TensorBoard shows them: `tensorboard --logdir HOME/runs` has a curve for each of every run.

The files are written by `tensorboardX`, which is small and needs neither TensorBoard nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from thumbwheel.ppo.metrics import field_name
from thumbwheel.retrain.learner import Tell

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


_FLUSH_S = 5


@contextmanager
def event_file(folder: Path) -> Iterator[Tell]:
    """Yield what writes figures into an event file below `folder`, by how many units of work are done.

    The file is made with the first figures, so that a step that has none leaves nothing; readers see them some seconds
    later. A step that was killed and goes on writes another file; TensorBoard joins the two, and takes what the second
    repeats from there.
    """
    events = _Events(folder)
    try:
        yield events.add
    finally:
        events.close()


class _Events:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def add(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Write the figures that are numbers."""
        shown = {field_name(name): value for name, value in figures.items() if isfinite(value)}
        if not shown:
            return
        if self._writer is None:
            self._writer = _open(self._folder, done)
        for name, value in shown.items():
            self._writer.add_scalar(name, value, done)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _open(folder: Path, first: int) -> SummaryWriter:
    from tensorboardX import SummaryWriter  # takes a while, and most steps have no figures

    # The names of the files go by the second; the suffix keeps two of the same second apart.
    return SummaryWriter(str(folder), purge_step=first, filename_suffix=f".from-{first}", flush_secs=_FLUSH_S)
