"""What classifiers and taggers share: an encoder with a head of labels, from a version's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from thumbwheel.errors import DamagedArtifact, InvalidInput
from thumbwheel.policy.loading import check_whole

# A tokenizer without a limit of its own reports a number of this size or larger.
_NO_LIMIT = 1_000_000


def read_encoder(folder: Path, head: Any, noun: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and the tokenizer saved by `save_pretrained` in `folder`, in fp32, every weight found.

    `head` is the class of transformers that loads it, `noun` what it is called. Reads safetensors only, runs no code
    from the folder and fetches nothing. Raises DamagedArtifact when the files can not be read or lack weights.
    """
    if not (folder / "config.json").is_file():
        raise DamagedArtifact(f"{folder.name}: config.json is missing; restore the folder")
    check_whole(folder)
    try:
        model, info = head.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise DamagedArtifact(f"{folder.name}: not a readable {noun}; restore the folder") from error
    _demand_all_weights(folder, info)
    return model, tokenizer


def labels_of(model: PreTrainedModel, folder: Path, noun: str) -> tuple[str, ...]:
    """The names of the model's logits, in their order. Raises InvalidInput when there are fewer than two."""
    id2label: Mapping[int, str] = model.config.id2label
    labels = tuple(id2label[index] for index in range(len(id2label)))
    if len(labels) < 2:
        raise InvalidInput("id2label", f"a {noun} has at least 2 labels, {folder.name} has {len(labels)}")
    return labels


def max_tokens_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The smaller of the tokenizer's and the model's limit; 512 when neither names one."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    named = [int(limit) for limit in limits if limit is not None and 0 < limit < _NO_LIMIT]
    return min(named, default=512)


def _demand_all_weights(folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse a folder whose weights don't cover the model: the rest would be random, silently."""
    absent = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if absent:
        raise DamagedArtifact(f"{folder.name}: weights are missing, the first is {absent[0]}")
