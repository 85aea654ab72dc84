"""Where a training job stood when it was killed, so that it can go on to the same result.

Lives in the run's folder and never becomes a version; a half-written one is never seen, since it is renamed into
place after it is on disk.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thumbwheel.durable import whole


@dataclass(frozen=True, slots=True)
class EpochCheckpoint:
    """A file with the state after the last whole epoch. `fingerprint` names the job: other inputs, other job."""

    path: Path
    fingerprint: str

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the saved state by `state` (tensors, numbers, texts, lists and dicts of them)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole(self.path) as partial:
            torch.save({"fingerprint": self.fingerprint, "state": dict(state)}, partial)

    def load(self) -> dict[str, Any] | None:
        """The saved state; None when there is none, when it is of another job, or when it can not be read."""
        try:
            saved = torch.load(self.path, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            return None
        if saved["fingerprint"] != self.fingerprint:
            return None
        state: dict[str, Any] = saved["state"]
        return state

    def clear(self) -> None:
        """Forget the saved state: the job is done."""
        self.path.unlink(missing_ok=True)
