"""Texts to label probabilities: the one copy of `classify` scoring, used by serving and by PPO.

Shape suffixes: B texts, K labels, T tokens.

What is logged for learning is what `served_probabilities` returned when the label was drawn, so that the
importance ratio of a later policy is (its own `served_probabilities`) / (the logged ones), both in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from thumbwheel.errors import InvalidInput
from thumbwheel.policy.encoder import labels_of, max_tokens_of, read_encoder


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
    model, tokenizer = read_encoder(folder, AutoModelForSequenceClassification, "classifier")
    labels = labels_of(model, folder, "classifier")
    model.to(device)
    model.eval()
    return Classifier(model, tokenizer, labels, max_tokens_of(model, tokenizer))


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
