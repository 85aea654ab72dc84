"""What the workers of one update do together. One worker is the usual case, and the code that learns reads the same.

All workers run the same code on the same inputs. They draw the same random numbers and choose the same rows; then each
computes its share of them, and sums over all workers put together what one worker would have computed: every
denominator is that of all rows, so that sums of shares are the means of the whole. Whatever is decided by (the KL
controller, an early stop, the norm that clips gradients) is computed from sums, and so the same on each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

Row = TypeVar("Row")


class Workers(Protocol):
    """The workers of an update, seen from the one of number `rank`, in [0, size)."""

    @property
    def rank(self) -> int:
        """This worker's number. Number 0 writes what there is to write."""

    @property
    def size(self) -> int:
        """How many they are."""

    def add_up(self, *tensors: Tensor) -> None:
        """Put in place of each tensor its sum over all workers, who all call this with tensors of the same shapes.

        The sum is the same to the bit on each of them. Waits for the slowest.
        """

    def keep(self, path: Path) -> None:
        """Put the file `path`, which worker 0 has just written, where all workers find it if one dies.

        Raises:
            Unavailable: that place is away.
        """


def share(rows: Sequence[Row], workers: Workers) -> list[Row]:
    """Return this worker's rows: every `size`-th, beginning with its number. None where there are fewer than workers.

    Of rows in the order of their length the shares are about as long.
    """
    return list(rows[workers.rank :: workers.size])


def add_up_gradients(parameters: Iterable[Tensor], workers: Workers) -> None:
    """Sum gradients over all workers. One who had no rows adds 0; what has no gradient on any of them keeps none."""
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    known = torch.tensor([float(parameter.grad is not None) for parameter in learned])
    workers.add_up(known)
    moved = [parameter for parameter, count in zip(learned, known.tolist(), strict=True) if count]
    workers.add_up(*(_gradient(parameter) for parameter in moved))


def add_up_figures(figures: Mapping[str, float], workers: Workers) -> dict[str, float]:
    """Sum figures over all workers, who all have the same names in the same order."""
    values = torch.tensor(list(figures.values()), dtype=torch.float64)
    workers.add_up(values)
    return dict(zip(figures, values.tolist(), strict=True))


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
