"""Where an update stood when it was killed, so that it can go on to the same result. Safetensors, never pickle.

One file: tensors, and in its header the facts as JSON. It lives in the run's folder and never becomes a version. A
half-written one is never seen, since it is renamed into place after it is on disk.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thumbwheel.durable import whole
from thumbwheel.workers.alone import Alone
from thumbwheel.workers.port import Workers

_KEPT: Final = "kept."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest state of the update that `job` names, in the file `path`. Other inputs are another job.

    All `workers` save and restore together; the first of them writes.
    """

    path: Path
    job: str = ""
    workers: Workers = field(default_factory=Alone)

    def save(
        self, optimizer: torch.optim.Optimizer, facts: Mapping[str, Any], kept: Mapping[str, Tensor] | None = None
    ) -> None:
        """Replace what was saved by the optimiser's parameters and moments, and `facts`, which JSON can hold.

        `kept` are tensors to save beside them, such as those of the best state so far.
        """
        if self.workers.rank == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            header = {"job": self.job, "facts": json.dumps(facts)}
            with whole(self.path) as partial:
                beside = {f"{_KEPT}{name}": value for name, value in (kept or {}).items()}
                save_file(_tensors(optimizer) | beside, partial, header)
        self.workers.keep(self.path)

    def restore(self, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put parameters and moments back in place and return the facts; None where there is nothing to go on from.

        That is: nothing was saved, or by another job, or it can not be read. Then the optimiser stays as it is.
        """
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata()
                names = [name for name in file.keys() if not name.startswith(_KEPT)]  # noqa: SIM118 - no iterator
                named = {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError):
            return None
        if header["job"] != self.job:
            return None
        facts: dict[str, Any] = json.loads(header["facts"])
        _put_back(optimizer, named)
        return facts

    def kept(self) -> dict[str, Tensor]:
        """The tensors saved beside the optimiser's, by their names. To be called when `restore` found something."""
        with safe_open(self.path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(_KEPT)]  # noqa: SIM118 - it has no iterator
            return {name.removeprefix(_KEPT): file.get_tensor(name) for name in names}

    def clear(self) -> None:
        """Forget what was saved: the job is done."""
        self.path.unlink(missing_ok=True)


def _tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name every tensor: parameters by their place in the optimiser's only group, its moments beside them."""
    named = {f"parameter.{i}": parameter.detach() for i, parameter in enumerate(_parameters(optimizer))}
    for i, moments in optimizer.state_dict()["state"].items():
        named |= {f"moment.{i}.{name}": value for name, value in moments.items()}
    return named


@torch.no_grad()
def _put_back(optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, value in named.items():
        kind, index, *moment = name.split(".", 2)
        if kind == "parameter":
            _parameters(optimizer)[int(index)].copy_(value)
        elif kind == "moment":
            moments[int(index)][moment[0]] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": dict(moments)})


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    parameters: list[Tensor] = optimizer.param_groups[0]["params"]
    return parameters
