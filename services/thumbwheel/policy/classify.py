"""Texts to label probabilities: the one copy of `classify` scoring, used by serving and by PPO.

Shape suffixes: B texts, K labels, T tokens.

What is logged for learning is what `served_probabilities` returned when the label was drawn, so that the
importance ratio of a later policy is (its own `served_probabilities`) / (the logged ones), both in fp32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from thumbwheel.errors import DamagedArtifact, InvalidInput
from thumbwheel.policy.loading import check_whole

# A tokenizer without a limit of its own reports a number of this size or larger.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A sequence classifier with its tokenizer.

    `labels[k]` is the name of logit k. A text longer than `max_tokens` is scored by its first `max_tokens`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    max_tokens: int

    def encode(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and attention mask of `texts`, each (B, T), padded on the right to the longest."""
        encoded = self.tokenizer(
            list(texts),
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        return {name: encoded[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    def logits(self, texts: Sequence[str]) -> Tensor:
        """fp32 logits_BK of `texts`, with gradients; dropout as the model's mode says."""
        logits_BK: Tensor = self.model(**self.encode(texts)).logits
        return logits_BK.float()

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[str], floor: float) -> Tensor:
        """fp32 probs_BK as served: dropout off, mixed with the uniform distribution by `floor`.

        Raises RuntimeError when the model is in training mode: what is served must not be noisy.
        """
        if self.model.training:
            raise RuntimeError("probabilities() wants the model in eval mode; call model.eval() first")
        return served_probabilities(self.logits(texts), floor)

    def token_count(self, text: str) -> int:
        """How many tokens `text` has, special tokens included, before any truncation."""
        return len(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])


def load_classifier(folder: Path, device: str = "cpu") -> Classifier:
    """Load the classifier saved by `save_pretrained` in `folder`, in fp32 and eval mode (dropout off).

    Reads safetensors only, runs no code from the folder and fetches nothing.
    Raises DamagedArtifact when the files can not be read or lack weights, and InvalidInput when the model
    has fewer than two labels.
    """
    model, tokenizer = _read(folder)
    labels = _labels(model.config.id2label)
    if len(labels) < 2:
        raise InvalidInput("id2label", f"a classifier has at least 2 labels, {folder.name} has {len(labels)}")
    model.to(device)
    model.eval()
    return Classifier(model, tokenizer, labels, _max_tokens(model, tokenizer))


def served_probabilities(logits_BK: Tensor, floor: float) -> Tensor:
    """The distribution labels are drawn from: p = (1 - floor) * softmax(logits) + floor / K, in fp32.

    Every label keeps at least floor / K, which bounds importance weights by K / floor. `floor` in [0, 1];
    0 serves the bare softmax. Raises InvalidInput for a floor outside of it.
    """
    if not 0.0 <= floor <= 1.0:
        raise InvalidInput("probability_floor", f"must lie in [0, 1], got {floor}")
    probs_BK = torch.softmax(logits_BK.float(), dim=-1)
    return (1.0 - floor) * probs_BK + floor / logits_BK.shape[-1]


def sample_labels(probs_BK: Tensor, generator: torch.Generator) -> Tensor:
    """One label index a text, drawn from probs_BK: int64 (B,). The generator makes it reproducible."""
    return torch.multinomial(probs_BK, 1, generator=generator).squeeze(-1)


def likeliest_labels(probs_BK: Tensor) -> Tensor:
    """The label index of largest probability of each text: int64 (B,); the lowest index wins a tie.

    An answer chosen so teaches nothing: the other labels had no chance.
    """
    return probs_BK.argmax(dim=-1)


def _read(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and the tokenizer, from local files without code, every weight found."""
    if not (folder / "config.json").is_file():
        raise DamagedArtifact(f"{folder.name}: config.json is missing; restore the folder")
    check_whole(folder)
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise DamagedArtifact(f"{folder.name}: not a readable classifier; restore the folder") from error
    _demand_all_weights(folder, info)
    return model, tokenizer


def _demand_all_weights(folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse a folder whose weights don't cover the model: the rest would be random, silently."""
    absent = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if absent:
        raise DamagedArtifact(f"{folder.name}: weights are missing, the first is {absent[0]}")


def _labels(id2label: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(id2label[index] for index in range(len(id2label)))


def _max_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The smaller of the tokenizer's and the model's limit; 512 when neither names one."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    named = [int(limit) for limit in limits if limit is not None and 0 < limit < _NO_LIMIT]
    return min(named, default=512)
