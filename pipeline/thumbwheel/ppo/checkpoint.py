"""The training state on disk, so that a killed run goes on where it stopped. Safetensors and JSON, never pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from thumbwheel.durable import sync
from thumbwheel.errors import DamagedArtifact
from thumbwheel.ppo.training_state import TrainingState

_TENSORS = "learner.safetensors"
_FACTS = "learner.json"


class Checkpoint:
    """One folder that holds the newest state; it is replaced as a whole, so it is never half written."""

    def __init__(self, folder: Path) -> None:
        """`folder` need not exist."""
        self._folder = folder

    def save(self, state: TrainingState, history: list[Mapping[str, float]]) -> None:
        """Write the state after the last iteration of `history`."""
        fresh = self._folder.with_name(self._folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        save_file(_tensors(state), fresh / _TENSORS)
        facts = {"beta": state.kl.beta, "history": [dict(metrics) for metrics in history]}
        (fresh / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        for path in (*fresh.iterdir(), fresh):
            sync(path)
        old = self._folder.with_name(self._folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(old)
        fresh.rename(self._folder)
        shutil.rmtree(old, ignore_errors=True)

    def restore(self, state: TrainingState) -> list[Mapping[str, float]]:
        """Put what was saved into `state`, and return its history; empty when nothing was saved.

        Raises:
            DamagedArtifact: what was saved can not be read.
        """
        folder = self._newest()
        if folder is None:
            return []
        try:
            _restore_tensors(state, load_file(folder / _TENSORS))
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            state.kl.beta = float(facts["beta"])
            return list(facts["history"])
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise DamagedArtifact(f"{folder.name}: not a readable checkpoint: remove it to begin again") from error

    def _newest(self) -> Path | None:
        """The folder itself, or its predecessor when a kill came between the two renames."""
        candidates = (self._folder, self._folder.with_name(self._folder.name + ".old"))
        return next((folder for folder in candidates if folder.exists()), None)


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """Name every tensor: parameters by their place in the optimiser, Adam's moments beside them."""
    parameters = state.optimizer.param_groups[0]["params"]
    named = {f"parameter.{i}": p.detach().clone() for i, p in enumerate(parameters)}
    for i, parameter in enumerate(parameters):
        for name, value in state.optimizer.state.get(parameter, {}).items():
            named[f"adam.{i}.{name}"] = value.clone()
    return named


@torch.no_grad()
def _restore_tensors(state: TrainingState, named: Mapping[str, Tensor]) -> None:
    for i, parameter in enumerate(state.optimizer.param_groups[0]["params"]):
        parameter.copy_(named[f"parameter.{i}"])
    for name, value in named.items():
        kind, index, *field = name.split(".", 2)
        if kind == "adam":
            parameter = state.optimizer.param_groups[0]["params"][int(index)]
            state.optimizer.state[parameter][field[0]] = value
