"""What one worker of a step has before it: its inputs, the others, and where its results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumbwheel.retrain.learner import Tell
from thumbwheel.workers.port import Workers


@dataclass(frozen=True, slots=True)
class Station:
    """Where a worker works. Worker 0 tells, and writes the step's results into the folder `out`.

    `champion` and `fit` are folders that are read only; `fit` has the reward model, where there is one yet. The update
    goes on from the file `checkpoint`, if it is there.
    """

    workers: Workers
    champion: Path
    fit: Path
    out: Path
    checkpoint: Path
    tell: Tell


Work = Callable[[Station], Mapping[str, Any]]
"""What every worker of a step does; returns the step's figures, the same on each. Sent to other machines by pickle."""
