"""Workers in processes of their own, on one machine or several, that add up by torch's Gloo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Gloo:
    """`Workers` of torch's default process group, which has begun. `put_away` keeps what worker 0 has written.

    A worker that dies breaks the connections of the others, and their sums then raise RuntimeError.
    """

    put_away: Callable[[Path], None] = lambda path: None

    @property
    def rank(self) -> int:
        """See the port."""
        return distributed.get_rank()

    @property
    def size(self) -> int:
        """See the port."""
        return distributed.get_world_size()

    def add_up(self, *tensors: Tensor) -> None:
        """See the port. Tensors of one type go as one message."""
        for _, alike in groupby(tensors, key=lambda tensor: tensor.dtype):
            _add_up(list(alike))

    def keep(self, path: Path) -> None:
        """See the port."""
        if self.rank == 0:
            self.put_away(path)


@torch.no_grad()
def _add_up(tensors: Sequence[Tensor]) -> None:
    message = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(message, distributed.ReduceOp.SUM)
    parts = torch.split(message, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.reshape(tensor.shape))
