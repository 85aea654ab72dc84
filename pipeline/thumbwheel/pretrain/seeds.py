"""The rows a first policy was trained on, kept as a file in each version's folder: later updates hold on to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from thumbwheel.pretrain.corpus import LabelledText, TaggedWords

Seed = TypeVar("Seed", LabelledText, TaggedWords)


def write_seeds(path: Path, seeds: Sequence[Seed]) -> None:
    """Write `seeds` as a data file of their kind has them, one JSON object a line; an empty file where there are none.

    An update of a model that was taken over has none to hand on.
    """
    lines = (json.dumps(asdict(seed), ensure_ascii=False) + "\n" for seed in seeds)
    path.write_text("".join(lines), encoding="utf-8")


def read_seeds(path: Path, read: Callable[[Path], list[Seed]]) -> tuple[Seed, ...]:
    """What `read` finds in `path`; none where the file is missing or empty. Raises InvalidData as `read` does."""
    return tuple(read(path)) if path.is_file() and path.stat().st_size else ()
