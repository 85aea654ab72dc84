"""Minibatches of texts of like length: little padding, still shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

# Batches are cut from pools of this many batches, sorted by length within the pool.
_POOL = 8


def length_bucketed(texts: Sequence[str], batch_size: int, rng: Random) -> list[list[int]]:
    """Deal every index of `texts` once into batches of at most `batch_size`, in random order.

    A batch holds texts of similar length in characters, so that little is padded.
    """
    order = list(range(len(texts)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * _POOL):
        pool = sorted(order[start : start + batch_size * _POOL], key=lambda index: len(texts[index]))
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    rng.shuffle(batches)
    return batches
