"""Policies that reply well, but whose files are broken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from safetensors.torch import load_file, save_file

from thumbwheel.drill.plant import Plant
from thumbwheel.drill.planted.replies import honest
from thumbwheel.drill.replies import ReplyGround
from thumbwheel.pretrain.tokenizer import train_tokenizer


def nan_weights(ground: ReplyGround, folder: Path) -> None:
    """One weight is no number."""
    honest(ground, folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in sorted(weights) if "mlp" in name)
    weights[name].view(-1)[0] = math.nan
    save_file(weights, path, metadata={"format": "pt"})


def other_tokenizer(ground: ReplyGround, folder: Path) -> None:
    """The weights are those of a good policy, the tokenizer is one of the same size learned from other texts."""
    honest(ground, folder)
    texts = [turn.content[::-1] for chat in ground.good(300, "other texts") for turn in chat]
    size = ground.size.first
    train_tokenizer(texts, size.vocabulary, size.max_tokens, chat=True).save_pretrained(folder)


PLANTS: Final = (
    Plant("wrong tokenizer", "reads and writes by another tokenizer", ("same_tokenizer",), other_tokenizer),
    Plant("NaN weights", "has one weight that is no number", ("finite_weights",), nan_weights),
)
